using LlamaServe.Models.Checkpoints;

namespace LlamaServe.Models;

/// <summary>Qwen3's mixtures of experts (arXiv:2505.09388), in the layers that the configuration gives.</summary>
internal sealed class Qwen3Moe(WeightLoader weights) : Qwen3(weights)
{
    public static new readonly TensorRole[] LayerTensors =
        [.. Qwen3.LayerTensors, TensorRole.Router, TensorRole.ExpertGate, TensorRole.ExpertUp, TensorRole.ExpertDown];
}
