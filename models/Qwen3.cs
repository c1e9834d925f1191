using LlamaServe.Kernels;
using LlamaServe.Models.Checkpoints;
using LlamaServe.Models.Layers;

namespace LlamaServe.Models;

/// <summary>Qwen3 (arXiv:2505.09388): a Llama that normalises each head of q and k before it rotates them.</summary>
internal class Qwen3(WeightLoader weights) : Llama(weights, LoadAttention)
{
    public static new readonly TensorRole[] LayerTensors = [.. Llama.LayerTensors, TensorRole.QueryNorm, TensorRole.KeyNorm];

    private static Attention LoadAttention(WeightLoader weights, int layer) => new(
        weights.Backend, weights.Config.AttentionShape(layer), weights.Config.Rope, layer,
        new Linear(weights.Backend, weights.Matrix(layer, TensorRole.Query, TensorRole.Key, TensorRole.Value)),
        new Linear(weights.Backend, weights.Matrix(layer, TensorRole.AttentionOutput)),
        new HeadNorms(weights.Vector(layer, TensorRole.QueryNorm), weights.Vector(layer, TensorRole.KeyNorm), weights.Config.RmsNormEpsilon));
}
