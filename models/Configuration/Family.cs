using LlamaServe.Kernels;
using LlamaServe.Models.Checkpoints;

namespace LlamaServe.Models.Configuration;

/// <summary>A served family: what files call it and how it is made.</summary>
/// <param name="HuggingFaceName">In config.json's "architectures".</param>
/// <param name="ModelType">config.json's "model_type", used where "architectures" is absent.</param>
/// <param name="GgufName">GGUF's general.architecture; null where the family has none of its own (Mistral and Mixtral come as llama).</param>
/// <param name="GgufRope">Order of the rotated elements in GGUF files.</param>
/// <param name="LayerTensors">The tensors of a layer; of those of an MLP and of experts a layer has either.</param>
internal sealed record Family(
    Architecture Architecture,
    string HuggingFaceName,
    string ModelType,
    string? GgufName,
    RopeStyle GgufRope,
    IReadOnlyList<TensorRole> LayerTensors,
    Func<WeightLoader, CausalLm> Create)
{
    /// <summary>All families; a new one is added here, in <see cref="Configuration.Architecture"/> and in a file of its own.</summary>
    public static readonly IReadOnlyList<Family> All =
    [
        new(Architecture.Llama, "LlamaForCausalLM", "llama", "llama", RopeStyle.Interleaved, Llama.LayerTensors, weights => new Llama(weights)),
        new(Architecture.Mistral, "MistralForCausalLM", "mistral", null, RopeStyle.Interleaved, Llama.LayerTensors, weights => new Mistral(weights)),
        new(Architecture.Qwen2, "Qwen2ForCausalLM", "qwen2", "qwen2", RopeStyle.HalfSplit, Qwen2.LayerTensors, weights => new Qwen2(weights)),
        new(Architecture.Qwen3, "Qwen3ForCausalLM", "qwen3", "qwen3", RopeStyle.HalfSplit, Qwen3.LayerTensors, weights => new Qwen3(weights)),
        new(Architecture.Mixtral, "MixtralForCausalLM", "mixtral", null, RopeStyle.Interleaved, Mixtral.LayerTensors, weights => new Mixtral(weights)),
        new(Architecture.Qwen3Moe, "Qwen3MoeForCausalLM", "qwen3_moe", "qwen3moe", RopeStyle.HalfSplit, Qwen3Moe.LayerTensors, weights => new Qwen3Moe(weights)),
    ];

    public static Family Of(Architecture architecture) => All.First(family => family.Architecture == architecture);
}
