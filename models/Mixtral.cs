using LlamaServe.Models.Checkpoints;

namespace LlamaServe.Models;

/// <summary>Mixtral (arXiv:2401.04088): a Mistral with a mixture of experts in every layer.</summary>
internal sealed class Mixtral(WeightLoader weights) : Llama(weights)
{
    public static new readonly TensorRole[] LayerTensors =
        [.. Llama.LayerTensors, TensorRole.Router, TensorRole.ExpertGate, TensorRole.ExpertUp, TensorRole.ExpertDown];
}
