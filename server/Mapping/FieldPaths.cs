using System.Collections.Frozen;
using LlamaServe.Engine.Requests;

namespace LlamaServe.Server.Mapping;

/// <summary>Which field of the wire an engine's property comes from.</summary>
internal static class FieldPaths
{
    /// <summary>Header that names whose request it is.</summary>
    public const string TenantHeader = "x-llamaserve-tenant";

    private static readonly FrozenDictionary<string, string> Paths = new Dictionary<string, string>
    {
        [nameof(GenerationRequest.RequestId)] = "request_id",
        [nameof(GenerationRequest.PromptTokenIds)] = "token_ids.ids",
        [nameof(GenerationRequest.Sampling)] = "sampling",
        [nameof(GenerationRequest.Samples)] = "n",
        [nameof(GenerationRequest.MaxTokens)] = "stopping.max_tokens",
        [nameof(GenerationRequest.MinTokens)] = "stopping.min_tokens",
        [nameof(GenerationRequest.StopStrings)] = "stopping.stop",
        [nameof(GenerationRequest.StopTokenIds)] = "stopping.stop_token_ids",
        [nameof(GenerationRequest.IgnoreEos)] = "stopping.ignore_eos",
        [nameof(GenerationRequest.IncludeStop)] = "stopping.include_stop",
        [nameof(GenerationRequest.ReturnText)] = "response.text",
        [nameof(GenerationRequest.LogProbs)] = "response.logprobs",
        [nameof(GenerationRequest.PromptLogProbs)] = "response.prompt_logprobs",
        [nameof(GenerationRequest.Tenant)] = TenantHeader,
        [nameof(GenerationRequest.CacheSalt)] = "cache_salt",
        [nameof(GenerationRequest.Priority)] = "priority",
        [nameof(GenerationRequest.Deadline)] = "grpc-timeout",
        [nameof(SamplingParameters.Temperature)] = "sampling.temperature",
        [nameof(SamplingParameters.TopK)] = "sampling.top_k",
        [nameof(SamplingParameters.TopP)] = "sampling.top_p",
        [nameof(SamplingParameters.MinP)] = "sampling.min_p",
        [nameof(SamplingParameters.RepetitionPenalty)] = "sampling.repetition_penalty",
        [nameof(SamplingParameters.PresencePenalty)] = "sampling.presence_penalty",
        [nameof(SamplingParameters.FrequencyPenalty)] = "sampling.frequency_penalty",
        [nameof(SamplingParameters.LogitBias)] = "sampling.logit_bias",
        [nameof(SamplingParameters.Seed)] = "sampling.seed",
    }.ToFrozenDictionary();

    /// <summary>The proto field's path, or the header's name, of an engine's property; null for none.</summary>
    /// <param name="property">As <see cref="Rejection.Field"/> has it.</param>
    /// <param name="textPrompt">The prompt came as text.</param>
    public static string? Of(string? property, bool textPrompt)
    {
        if (property is null)
        {
            return null;
        }
        return textPrompt && property == nameof(GenerationRequest.PromptTokenIds) ? "text" : Paths.GetValueOrDefault(property);
    }
}
