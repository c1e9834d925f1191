using System.Numerics;
using LlamaServe.Kernels;

namespace LlamaServe.Engine;

/// <summary>How the engine runs. <see cref="Validate"/> says what is legal.</summary>
public sealed record EngineOptions
{
    /// <summary>Most tokens that one step computes, over all sequences.</summary>
    public int TokenBudget { get; init; } = 512;

    /// <summary>Most sequences that hold blocks at a time; at most <see cref="TokenBudget"/>.</summary>
    public int MaxSequences { get; init; } = 256;

    /// <summary>
    /// While some sequences decode, as many prefill tokens join a step as keep it within this time; 0 for no such target.
    /// </summary>
    public TimeSpan StepTimeTarget { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>Whether a step is prepared and started while the one ahead of it runs, on devices that compute by themselves (GPUs).</summary>
    public bool OverlapSteps { get; init; } = true;

    /// <summary>Prefill tokens that may join a step even when the time target is missed, so that prompts never starve.</summary>
    public int MinPrefillTokens { get; init; } = 16;

    /// <summary>Rows of logits a step keeps for the log-probabilities of prompts.</summary>
    public int PromptLogProbRows { get; init; } = 64;

    /// <summary>Tokens of a KV block: a power of two.</summary>
    public int BlockSize { get; init; } = 16;

    /// <summary>
    /// Bytes of the KV cache; null for half of a host's free memory or nearly all of a GPU's, but no more than every sequence could fill.
    /// </summary>
    public long? KvCacheBytes { get; init; }

    /// <summary>
    /// Bytes of host memory behind the prefix cache: what is still of use moves there when its block is reused, and comes back when it
    /// is asked for; 0 for none.
    /// </summary>
    public long KvHostBytes { get; init; }

    /// <summary>Element type of keys and values: BF16 everywhere, F32 on the CPU, FP8 or INT8 on a GPU.</summary>
    public DType KvCacheType { get; init; } = DType.BF16;

    /// <summary>Whether computed prompts are kept and shared between requests of a tenant.</summary>
    public bool PrefixCaching { get; init; } = true;

    /// <summary>Longest context served; null for the model's own.</summary>
    public int? MaxContextLength { get; init; }

    /// <summary>Most requests in flight, running and waiting.</summary>
    public int MaxRequests { get; init; } = 1024;

    /// <summary>Most requests in flight of one tenant.</summary>
    public int MaxRequestsPerTenant { get; init; } = 1024;

    /// <summary>Most tokens that the requests in flight may come to, prompts and new tokens of all samples.</summary>
    public long MaxTokensInFlight { get; init; } = 128L << 20;

    /// <summary>Most host memory, in bytes, that the requests in flight may come to need, and that one may.</summary>
    public long MaxHostBytes { get; init; } = 1L << 30;

    public long MaxHostBytesPerRequest { get; init; } = 64L << 20;

    /// <summary>Most samples of one request.</summary>
    public int MaxSamples { get; init; } = 16;

    /// <summary>Tokens that wait for a reader before its request pauses.</summary>
    public int TokenBuffer { get; init; } = 256;

    /// <summary>How long a request may be paused before it ends with <see cref="Requests.FinishReason.SlowReader"/>.</summary>
    public TimeSpan SlowReaderTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>A waiting priority level gains one level for each such time it is passed over, so that nothing starves.</summary>
    public TimeSpan AgingInterval { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A step that takes longer has hung: the loop is restarted with a fresh model and the work kept.</summary>
    public TimeSpan StepTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Restarts in a row, without a step done in between, after which the engine gives up.</summary>
    public int MaxRestarts { get; init; } = 3;

    /// <exception cref="ArgumentException">A value is out of range; the message names it.</exception>
    public void Validate()
    {
        Range(nameof(TokenBudget), TokenBudget, 1, 1 << 20);
        Range(nameof(MaxSequences), MaxSequences, 1, TokenBudget);
        Range(nameof(StepTimeTarget), StepTimeTarget.TotalMilliseconds, 0, 60_000);
        Range(nameof(MinPrefillTokens), MinPrefillTokens, 1, 1 << 20);
        Range(nameof(PromptLogProbRows), PromptLogProbRows, 1, 1 << 16);
        Range(nameof(BlockSize), BlockSize, 1, 1024);
        if (!BitOperations.IsPow2(BlockSize))
        {
            throw new ArgumentException($"{nameof(BlockSize)} is {BlockSize}; it must be a power of two", nameof(BlockSize));
        }
        Range(nameof(KvCacheBytes), KvCacheBytes ?? 1, 1, long.MaxValue);
        Range(nameof(KvHostBytes), KvHostBytes, 0, long.MaxValue / 2);
        if (KvHostBytes > 0 && !PrefixCaching)
        {
            throw new ArgumentException($"{nameof(KvHostBytes)} is {KvHostBytes}; without a prefix cache it must be 0", nameof(KvHostBytes));
        }
        Range(nameof(MaxContextLength), MaxContextLength ?? 2, 2, 1 << 24);
        Range(nameof(MaxRequests), MaxRequests, 1, 1 << 20);
        Range(nameof(MaxRequestsPerTenant), MaxRequestsPerTenant, 1, 1 << 20);
        Range(nameof(MaxTokensInFlight), MaxTokensInFlight, 1, long.MaxValue / 2);
        Range(nameof(MaxHostBytes), MaxHostBytes, 1 << 20, long.MaxValue / 2);
        Range(nameof(MaxHostBytesPerRequest), MaxHostBytesPerRequest, 1 << 16, MaxHostBytes);
        Range(nameof(MaxSamples), MaxSamples, 1, 1024);
        Range(nameof(TokenBuffer), TokenBuffer, 1, 1 << 20);
        Range(nameof(SlowReaderTimeout), SlowReaderTimeout.TotalMilliseconds, 1, int.MaxValue);
        Range(nameof(AgingInterval), AgingInterval.TotalMilliseconds, 1, int.MaxValue);
        Range(nameof(StepTimeout), StepTimeout.TotalMilliseconds, 10, int.MaxValue);
        Range(nameof(MaxRestarts), MaxRestarts, 0, 1000);
    }

    private static void Range(string name, double value, double least, double most)
    {
        if (!(value >= least && value <= most))
        {
            throw new ArgumentException($"{name} is {value}; it must be {least} to {most}", name);
        }
    }
}
