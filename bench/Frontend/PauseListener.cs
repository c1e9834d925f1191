using System.Diagnostics.Tracing;
using System.Globalization;

namespace LlamaServe.Bench.Frontend;

/// <summary>
/// Times every pause of the garbage collector in this process from the runtime's own events: from the moment it begins to stop
/// the threads until they all run again. Stops for other reasons are not pauses of the collector and are left out.
/// </summary>
internal sealed class PauseListener : EventListener
{
    private const string Runtime = "Microsoft-Windows-DotNETRuntime";
    private const EventKeywords Collections = (EventKeywords)1;

    private readonly Lock _lock = new();
    private readonly List<Pause> _pauses = [];
    private DateTime _begun;
    private Pause _current;

    /// <summary>Forgets all pauses so far.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _pauses.Clear();
        }
    }

    public PauseSummary Summarize()
    {
        lock (_lock)
        {
            return PauseSummary.Of(_pauses);
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
            switch (eventData.EventName!.Split('_')[0])
            {
                case "GCSuspendEEBegin":
                    _begun = Value(eventData, "Reason") is SuspensionReason.Collection or SuspensionReason.BackgroundCollection ? eventData.TimeStamp : default;
                    _current = default;
                    break;
                case "GCSuspendEEEnd":
                    _current = _current with { SuspensionMilliseconds = Since(eventData) };
                    break;
                case "GCStart":
                    _current = _current with { Generation = (int)Value(eventData, "Depth"), Cause = (PauseCause)Value(eventData, "Reason") };
                    break;
                case "GCHeapStats":
                    _current = _current with { PromotedBytes = Promoted(eventData) };
                    break;
                case "GCRestartEEEnd" when _begun != default:
                    _pauses.Add(_current with { Milliseconds = Since(eventData) });
                    _begun = default;
                    break;
            }
        }
    }

    private double Since(EventWrittenEventArgs eventData) => (eventData.TimeStamp - _begun).TotalMilliseconds;

    private static long Promoted(EventWrittenEventArgs heap) =>
        Enumerable.Range(0, 4).Sum(generation => Value(heap, $"TotalPromotedSize{generation}"));

    private static long Value(EventWrittenEventArgs eventData, string name) =>
        Convert.ToInt64(eventData.Payload![eventData.PayloadNames!.IndexOf(name)], CultureInfo.InvariantCulture);

    // GCSuspendEEBegin's Reason.
    private static class SuspensionReason
    {
        public const long Collection = 1;
        public const long BackgroundCollection = 6;
    }
}
