using System.Diagnostics;
using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Simulation;

/// <summary>Conversations and when each begins in simulated time.</summary>
/// <param name="Conversations">In the order of their arrivals.</param>
/// <param name="Arrivals">[conversation]: seconds, ascending.</param>
internal sealed record Trace(IEnumerable<Conversation> Conversations, IReadOnlyList<double> Arrivals)
{
    /// <summary>What a run has sent, as it was sent: seconds after the first request.</summary>
    /// <param name="records">Of conversations of one turn each.</param>
    public static Trace Of(Conversation[] conversations, IEnumerable<RequestRecord> records)
    {
        RequestRecord[] ordered = [.. records.OrderBy(record => record.Sent)];
        return new Trace(
            [.. ordered.Select(record => conversations[record.Conversation])],
            [.. ordered.Select(record => Stopwatch.GetElapsedTime(ordered[0].Sent, record.Sent).TotalSeconds)]);
    }
}
