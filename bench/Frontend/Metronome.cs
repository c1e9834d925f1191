using System.Diagnostics;

namespace LlamaServe.Bench.Frontend;

/// <summary>Hands out points in time at a fixed rate, one to each caller. Who comes late goes on at once, so the rate is kept over time.</summary>
/// <param name="perSecond">Points a second.</param>
internal sealed class Metronome(double perSecond)
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private long _given;

    /// <summary>Waits for the next point that nobody has taken.</summary>
    public async ValueTask NextAsync(CancellationToken cancellationToken)
    {
        TimeSpan due = TimeSpan.FromSeconds(Interlocked.Increment(ref _given) / perSecond), wait = due - Stopwatch.GetElapsedTime(_start);
        if (wait > TimeSpan.Zero)
        {
            await Task.Delay(wait, cancellationToken);
        }
    }
}
