namespace LlamaServe.Engine.Requests;

/// <summary>
/// Says whether a request is legal: the one check that all front ends share. Everything behind it relies on it. Takes time
/// in proportion to the request and no more than its limits allow.
/// </summary>
internal sealed class RequestValidator(ServingLimits limits)
{
    /// <summary>The first thing that is wrong with the request, or null.</summary>
    public Rejection? Validate(GenerationRequest request) =>
        CheckNames(request) ?? CheckPrompt(request) ?? CheckLengths(request) ?? CheckStops(request) ??
        CheckLogProbs(request) ?? CheckSampling(request.Sampling) ?? CheckLogitBias(request.Sampling?.LogitBias) ?? CheckFit(request);

    private static Rejection? CheckNames(GenerationRequest request) =>
        CheckName(nameof(request.RequestId), request.RequestId) ??
        CheckName(nameof(request.Tenant), request.Tenant) ??
        CheckName(nameof(request.CacheSalt), request.CacheSalt) ??
        CheckRange(nameof(request.Priority), request.Priority, -ServingLimits.MaxPriority, ServingLimits.MaxPriority);

    private static Rejection? CheckName(string field, string? name)
    {
        if (name is null || name.Length > ServingLimits.MaxNameLength)
        {
            return Invalid(field, $"has at most {ServingLimits.MaxNameLength} characters");
        }
        return name.AsSpan().ContainsAnyExceptInRange(' ', '~') ? Invalid(field, "has printable ASCII characters only") : null;
    }

    private Rejection? CheckPrompt(GenerationRequest request)
    {
        const string Field = nameof(request.PromptTokenIds);
        ReadOnlySpan<int> prompt = request.PromptTokenIds.Span;
        if (prompt.IsEmpty)
        {
            return Invalid(Field, "has at least one token");
        }
        if (prompt.Length >= limits.ContextLength)
        {
            return Invalid(Field, $"has {prompt.Length} tokens; with the context of {limits.ContextLength} it has at most {limits.ContextLength - 1}");
        }
        return CheckIds(Field, prompt);
    }

    private Rejection? CheckLengths(GenerationRequest request)
    {
        int prompt = request.PromptTokenIds.Length;
        Rejection? rejection = CheckRange(nameof(request.Samples), request.Samples, 1, limits.MaxSamples);
        if (rejection is null && request.MaxTokens is int tokens)
        {
            rejection = CheckRange(nameof(request.MaxTokens), tokens, 1, limits.ContextLength - prompt);
        }
        return rejection ?? CheckRange(nameof(request.MinTokens), request.MinTokens, 0, Math.Max(0, limits.MaxTokens(request)));
    }

    private Rejection? CheckStops(GenerationRequest request)
    {
        const string Field = nameof(request.StopStrings);
        if (request.StopStrings is null || request.StopStrings.Count > ServingLimits.MaxStopStrings)
        {
            return Invalid(Field, $"has at most {ServingLimits.MaxStopStrings} entries");
        }
        foreach (string? stop in request.StopStrings)
        {
            if (string.IsNullOrEmpty(stop) || stop.Length > ServingLimits.MaxStopStringLength)
            {
                return Invalid(Field, $"has entries of 1 to {ServingLimits.MaxStopStringLength} characters");
            }
            if (!IsWellFormed(stop))
            {
                return Invalid(Field, "has an entry that is not well-formed text");
            }
        }
        if (request.StopTokenIds is null || request.StopTokenIds.Count > ServingLimits.MaxStopTokenIds)
        {
            return Invalid(nameof(request.StopTokenIds), $"has at most {ServingLimits.MaxStopTokenIds} ids");
        }
        return CheckIds(nameof(request.StopTokenIds), [.. request.StopTokenIds]);
    }

    private static Rejection? CheckLogProbs(GenerationRequest request) =>
        CheckRange(nameof(request.LogProbs), request.LogProbs ?? 0, 0, ServingLimits.MaxTopLogProbs) ??
        CheckRange(nameof(request.PromptLogProbs), request.PromptLogProbs ?? 0, 0, ServingLimits.MaxTopLogProbs);

    private Rejection? CheckSampling(SamplingParameters? sampling)
    {
        if (sampling is null)
        {
            return Invalid(nameof(GenerationRequest.Sampling), "is missing");
        }
        return CheckRange(nameof(sampling.Temperature), sampling.Temperature, 0, 100) ??
            CheckRange(nameof(sampling.TopK), sampling.TopK, 0, limits.VocabularySize) ??
            CheckAbove0(nameof(sampling.TopP), sampling.TopP, 1) ??
            CheckRange(nameof(sampling.MinP), sampling.MinP, 0, 1) ??
            CheckAbove0(nameof(sampling.RepetitionPenalty), sampling.RepetitionPenalty, 10) ??
            CheckRange(nameof(sampling.PresencePenalty), sampling.PresencePenalty, -2, 2) ??
            CheckRange(nameof(sampling.FrequencyPenalty), sampling.FrequencyPenalty, -2, 2);
    }

    private Rejection? CheckLogitBias(IReadOnlyDictionary<int, float>? biases)
    {
        const string Field = nameof(SamplingParameters.LogitBias);
        if (biases is null)
        {
            return null;
        }
        if (biases.Count > ServingLimits.MaxLogitBiases)
        {
            return Invalid(Field, $"has at most {ServingLimits.MaxLogitBiases} entries");
        }
        foreach ((int id, float bias) in biases)
        {
            Rejection? rejection = CheckIds(Field, [id]) ?? CheckRange(Field, bias, -100, 100);
            if (rejection is not null)
            {
                return rejection;
            }
        }
        return null;
    }

    private Rejection? CheckFit(GenerationRequest request)
    {
        int prompt = request.PromptTokenIds.Length;
        int tokens = limits.MaxTokens(request);
        if (tokens < 1)
        {
            return Invalid(nameof(request.PromptTokenIds), $"has {prompt} tokens; the KV cache holds {limits.KvCacheTokens}");
        }
        if (tokens > limits.MaxNewTokens(prompt))
        {
            return Invalid(nameof(request.MaxTokens), $"is {tokens} after {prompt} prompt tokens; the KV cache holds {limits.KvCacheTokens}");
        }
        long bytes = RequestCost.Of(request, tokens, limits.TokenBuffer).HostBytes;
        return bytes <= limits.MaxHostBytes ? null : Invalid(
            nameof(request.MaxTokens), $"together with samples and log-probabilities may need {bytes} bytes of memory; at most {limits.MaxHostBytes} are given to a request");
    }

    private Rejection? CheckIds(string field, ReadOnlySpan<int> ids)
    {
        int last = limits.VocabularySize - 1;
        int bad = ids.IndexOfAnyExceptInRange(0, last);
        return bad < 0 ? null : Invalid(field, $"has the id {ids[bad]}; ids are 0 to {last}");
    }

    private static Rejection? CheckRange(string field, double value, double least, double most) =>
        value >= least && value <= most ? null : Invalid(field, $"is {value}; it must be {least} to {most}");

    private static Rejection? CheckAbove0(string field, double value, double most) =>
        value > 0 && value <= most ? null : Invalid(field, $"is {value}; it must be above 0 and at most {most}");

    private static bool IsWellFormed(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (char.IsSurrogate(text[i]) && (i + 1 == text.Length || !char.IsSurrogatePair(text[i], text[++i])))
            {
                return false;
            }
        }
        return true;
    }

    private static Rejection Invalid(string field, string what) =>
        new(RejectionReason.InvalidRequest, $"{field} {what}.", field);
}
