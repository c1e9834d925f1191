using LlamaServe.Bench.Load;
using LlamaServe.Engine;

namespace LlamaServe.Bench.Offline;

/// <summary>What <c>returning</c> measured. Times to first token are medians, in seconds.</summary>
/// <param name="Run">What was asked.</param>
/// <param name="KvTokens">Tokens that the KV cache holds.</param>
/// <param name="HostTokens">Tokens that the host memory holds.</param>
/// <param name="FirstWithout">Of prompts that are new, without host memory.</param>
/// <param name="FirstWith">The same with it, where they push out others.</param>
/// <param name="LaterWithout">Of prompts that come back, without host memory.</param>
/// <param name="LaterWith">The same with it.</param>
/// <param name="Ratio">Median over the prompts that come back: their time with host memory over that without, one right after the other.</param>
/// <param name="CachedWithout">Part of the tokens of prompts that come back which need not be computed, without host memory.</param>
/// <param name="CachedWith">The same with it.</param>
internal sealed record ReturningResult(
    ReturningRun Run, long KvTokens, long HostTokens, double FirstWithout, double FirstWith, double LaterWithout, double LaterWith, double Ratio,
    double CachedWithout, double CachedWith, long BlocksSwappedOut, long BlocksSwappedIn)
{
    public static ReturningResult Of(ReturningRun run, List<ReturningRun.Turn> first, List<ReturningRun.Turn> later, EngineStatistics statistics, int blockSize) => new(
        run, (long)statistics.KvBlocks * blockSize, (long)statistics.KvHostBlocks * blockSize,
        Median(first, turn => turn.Without.Seconds), Median(first, turn => turn.With.Seconds),
        Median(later, turn => turn.Without.Seconds), Median(later, turn => turn.With.Seconds),
        Median(later, turn => turn.With.Seconds / turn.Without.Seconds),
        later.Average(turn => turn.Without.CachedTokens) / run.Tokens, later.Average(turn => turn.With.CachedTokens) / run.Tokens,
        statistics.BlocksSwappedOut, statistics.BlocksSwappedIn);

    private static double Median(List<ReturningRun.Turn> turns, Func<ReturningRun.Turn, double> value) => new Distribution(turns.Select(value)).Median;
}
