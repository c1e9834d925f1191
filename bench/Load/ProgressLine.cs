using System.Diagnostics;

namespace LlamaServe.Bench.Load;

/// <summary>One line that tells how a run goes: rewritten twice a second on a terminal, once in ten seconds elsewhere.</summary>
internal static class ProgressLine
{
    public static async Task ShowAsync(LoadGenerator load, int total, TextWriter output, bool isTerminal, CancellationToken untilDone)
    {
        long start = Stopwatch.GetTimestamp();
        using PeriodicTimer timer = new(TimeSpan.FromSeconds(isTerminal ? 0.5 : 10));
        try
        {
            while (await timer.WaitForNextTickAsync(untilDone))
            {
                string line = Describe(load, total, Stopwatch.GetElapsedTime(start).TotalSeconds);
                await output.WriteAsync(isTerminal ? $"\r{line}\x1b[K" : line + "\n");
            }
        }
        catch (OperationCanceledException)
        {
            await output.WriteAsync(isTerminal ? "\r\x1b[K" : "");
        }
    }

    private static string Describe(LoadGenerator load, int total, double seconds)
    {
        long tokens = load.Records.Sum(record => (long)record.OutputTokens);
        int failed = load.Records.Count(record => record.Error is not null);
        return $"{seconds:F0} s: {load.Records.Count} of {total} requests done, {failed} failed, {load.InFlight} in flight, {tokens / seconds:F0} output tokens/s";
    }
}
