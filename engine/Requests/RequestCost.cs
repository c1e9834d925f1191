using System.Runtime.CompilerServices;

namespace LlamaServe.Engine.Requests;

/// <summary>What a request may come to need at most; counted before it is taken.</summary>
/// <param name="Tokens">Prompt once, and the new tokens of all samples.</param>
/// <param name="HostBytes">Tokens, buffered outputs and log-probabilities.</param>
internal readonly record struct RequestCost(long Tokens, long HostBytes)
{
    /// <summary>Header and length of an array, and the pointer to it.</summary>
    private const int ArrayOverhead = 32;

    /// <summary>Objects of a request and of a sample, rounded up.</summary>
    private const int RequestBytes = 2048;
    private const int SampleBytes = 1024;

    /// <summary>The id, and a token's share of block table and hashes.</summary>
    private const int BytesPerToken = sizeof(int) + 2;

    /// <param name="maxTokens">New tokens of a sample.</param>
    /// <param name="tokenBuffer">Tokens that may wait for the reader; what was read is not held.</param>
    public static RequestCost Of(GenerationRequest request, int maxTokens, int tokenBuffer)
    {
        long prompt = request.PromptTokenIds.Length;
        long samples = request.Samples;
        long output = samples * maxTokens;
        long bytes = RequestBytes + samples * SampleBytes + BytesPerToken * (samples * prompt + output);
        bytes += Math.Min(output, tokenBuffer + 2 * samples) * (Unsafe.SizeOf<GeneratedToken>() + Alternatives(request.LogProbs));
        bytes += request.PromptLogProbs is null ? 0 : prompt * (2 * ArrayOverhead + Alternatives(request.PromptLogProbs));
        return new RequestCost(prompt + output, bytes);
    }

    private static long Alternatives(int? count) =>
        count is int top and > 0 ? ArrayOverhead + (long)top * Unsafe.SizeOf<TokenLogProb>() : 0;
}
