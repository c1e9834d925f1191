using LlamaServe.Kernels;

namespace LlamaServe.Bench.Serving;

/// <summary>Peaks of one server's physical memory, beside what it cannot do without. All in bytes.</summary>
/// <param name="Sequences">Requests that filled the KV cache together.</param>
/// <param name="KvCacheTokens">Tokens that the KV cache holds.</param>
/// <param name="WeightBytes">Of the tensors, as the file stores them.</param>
/// <param name="KvCacheBytes">Of the keys and values of that many tokens.</param>
/// <param name="LoadedPeakBytes">The peak until the first request was taken.</param>
/// <param name="PeakBytes">The peak until all requests were answered.</param>
internal sealed record MemoryResult(
    WeightFormat Format, int Sequences, int KvCacheTokens, long WeightBytes, long KvCacheBytes, long LoadedPeakBytes, long PeakBytes)
{
    /// <summary>What all else may take.</summary>
    public const long Goal = 300_000_000;

    /// <summary>What all else took: the runtime, activations, tokenizer, buffers.</summary>
    public long OverheadBytes => PeakBytes - WeightBytes - KvCacheBytes;

    public override string ToString() =>
        $"{Format}: peak {Megabytes(PeakBytes)} with {Sequences} requests over {KvCacheTokens} tokens of KV cache = "
        + $"weights {Megabytes(WeightBytes)} + KV cache {Megabytes(KvCacheBytes)} + {Megabytes(OverheadBytes)} (goal {Megabytes(Goal)}); "
        + $"peak while loading {Megabytes(LoadedPeakBytes)}";

    private static string Megabytes(long bytes) => $"{bytes / 1e6:F0} MB";
}
