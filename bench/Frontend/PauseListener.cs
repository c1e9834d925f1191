using System.Diagnostics.Tracing;

namespace LlamaServe.Bench.Frontend;

/// <summary>
/// Times every pause of the garbage collector from the runtime's own events: from the moment it begins to stop the threads
/// until they all run again.
/// </summary>
internal sealed class PauseListener : EventListener
{
    private const string Runtime = "Microsoft-Windows-DotNETRuntime";
    private const EventKeywords Collections = (EventKeywords)1;

    private readonly Lock _lock = new();
    private readonly List<double> _milliseconds = [];
    private DateTime _begun;

    /// <summary>Forgets all pauses so far.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _milliseconds.Clear();
        }
    }

    public PauseSummary Summarize()
    {
        lock (_lock)
        {
            double[] sorted = [.. _milliseconds.Order()];
            return sorted.Length == 0
                ? new PauseSummary(0, 0, 0, 0)
                : new PauseSummary(sorted.Length, sorted[sorted.Length / 2], sorted[^1], sorted.Sum());
        }
    }

    protected override void OnEventSourceCreated(EventSource eventSource)
    {
        if (eventSource.Name == Runtime)
        {
            EnableEvents(eventSource, EventLevel.Informational, Collections);
        }
    }

    protected override void OnEventWritten(EventWrittenEventArgs eventData)
    {
        lock (_lock)
        {
            if (eventData.EventName!.StartsWith("GCSuspendEEBegin", StringComparison.Ordinal))
            {
                _begun = eventData.TimeStamp;
            }
            else if (eventData.EventName.StartsWith("GCRestartEEEnd", StringComparison.Ordinal) && _begun != default)
            {
                _milliseconds.Add((eventData.TimeStamp - _begun).TotalMilliseconds);
                _begun = default;
            }
        }
    }
}

/// <summary>Pauses of a run, in milliseconds.</summary>
internal readonly record struct PauseSummary(int Count, double MedianMilliseconds, double MaxMilliseconds, double TotalMilliseconds);
