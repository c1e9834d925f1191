using System.Diagnostics;
using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Simulation;

/// <summary>Requests as a run has sent them, to be sent again in simulated time.</summary>
/// <param name="Conversations">In the order in which they were sent.</param>
/// <param name="Arrivals">[conversation]: seconds after the first.</param>
internal sealed record Trace(Conversation[] Conversations, double[] Arrivals)
{
    /// <param name="records">Of conversations of one turn each.</param>
    public static Trace Of(Conversation[] conversations, IEnumerable<RequestRecord> records)
    {
        RequestRecord[] ordered = [.. records.OrderBy(record => record.Sent)];
        return new Trace(
            [.. ordered.Select(record => conversations[record.Conversation])],
            [.. ordered.Select(record => Stopwatch.GetElapsedTime(ordered[0].Sent, record.Sent).TotalSeconds)]);
    }
}
