namespace LlamaServe.Engine.Requests;

/// <summary>What a request may ask for at most, known once the model is loaded.</summary>
public sealed record ServingLimits
{
    public const int MaxTopLogProbs = Kernels.SamplingBatch.MaxTopLogProbs;
    public const int MaxStopStrings = 16;

    /// <summary>UTF-16 units of one stop string.</summary>
    public const int MaxStopStringLength = 256;
    public const int MaxStopTokenIds = 128;
    public const int MaxLogitBiases = 1024;
    public const int MaxNameLength = 128;
    public const int MaxPriority = 100;

    /// <summary>Ids are 0 to VocabularySize − 1.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Most tokens of a sample, prompt included.</summary>
    public required int ContextLength { get; init; }

    /// <summary>Tokens that the KV cache holds; a sample that could need more is refused.</summary>
    public required int KvCacheTokens { get; init; }

    public required int MaxSamples { get; init; }

    /// <summary>Tokens of a request that may wait for its reader.</summary>
    public required int TokenBuffer { get; init; }

    /// <summary>Bytes of host memory that a request may come to need.</summary>
    public required long MaxHostBytes { get; init; }

    /// <summary>New tokens a sample of this request may have: what was asked for, or what context and cache leave.</summary>
    internal int MaxTokens(GenerationRequest request) => request.MaxTokens ?? MaxNewTokens(request.PromptTokenIds.Length);

    /// <summary>New tokens that fit after such a prompt; the last of them needs no place in the cache.</summary>
    internal int MaxNewTokens(int promptTokens) => (int)Math.Min(ContextLength - promptTokens, KvCacheTokens + 1L - promptTokens);
}
