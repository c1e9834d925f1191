using LlamaServe.Models.Checkpoints;

namespace LlamaServe.Models;

/// <summary>Mistral 7B (arXiv:2310.06825): a Llama whose tokens see a sliding window, which its configuration gives for each layer.</summary>
internal sealed class Mistral(WeightLoader weights) : Llama(weights);
