using LlamaServe.Models.Checkpoints;
using LlamaServe.Models.Layers;

namespace LlamaServe.Models;

/// <summary>Qwen2 and Qwen2.5 (arXiv:2412.15115): a Llama with biases on q, k and v.</summary>
internal sealed class Qwen2(WeightLoader weights) : Llama(weights, LoadAttention)
{
    public static new readonly TensorRole[] LayerTensors =
        [.. Llama.LayerTensors, TensorRole.QueryBias, TensorRole.KeyBias, TensorRole.ValueBias];

    private static Attention LoadAttention(WeightLoader weights, int layer) => new(
        weights.Backend, weights.Config.AttentionShape(layer), weights.Config.Rope, layer,
        new Linear(weights.Backend,
            weights.Matrix(layer, TensorRole.Query, TensorRole.Key, TensorRole.Value),
            weights.Vector(layer, TensorRole.QueryBias, TensorRole.KeyBias, TensorRole.ValueBias)),
        new Linear(weights.Backend, weights.Matrix(layer, TensorRole.AttentionOutput)));
}
