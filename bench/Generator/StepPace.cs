using System.Diagnostics;
using LlamaServe.Bench.Simulation;

namespace LlamaServe.Bench.Generator;

/// <summary>Ends steps at even times, as a device would, and notes how far apart they really were. Used by one thread.</summary>
internal sealed class StepPace(TimeSpan step)
{
    private readonly LatencyHistogram _intervals = new();
    private readonly long _start = Stopwatch.GetTimestamp();
    private TimeSpan _due;
    private long _last;

    /// <summary>Waits until one step after the last one was due, or not at all if that is past.</summary>
    public void Wait()
    {
        TimeSpan passed = Stopwatch.GetElapsedTime(_start);
        _due = _due + step > passed ? _due + step : passed;
        // Whole milliseconds, or the rest would be cut off; what is slept too long is made up for by the next step.
        Thread.Sleep((int)Math.Ceiling((_due - passed).TotalMilliseconds));
        long now = Stopwatch.GetTimestamp();
        // A device that had nothing to do made no interval that a reader could see.
        if (_last != 0 && Stopwatch.GetElapsedTime(_last, now) < 10 * step)
        {
            _intervals.Add(Stopwatch.GetElapsedTime(_last, now).TotalSeconds);
        }

        _last = now;
    }

    public StepIntervals Intervals => new(_intervals.Mean, _intervals.Percentile(50), _intervals.Percentile(99));
}

/// <summary>Seconds between the ends of steps.</summary>
internal sealed record StepIntervals(double Mean, double P50, double P99);
