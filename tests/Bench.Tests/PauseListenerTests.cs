using System.Diagnostics;
using LlamaServe.Bench.Frontend;

namespace LlamaServe.Bench.Tests;

public class PauseListenerTests
{
    [Test]
    public void A_collection_is_one_pause_with_its_parts()
    {
        using PauseListener listener = new();
        listener.Reset();
        GC.Collect(2, GCCollectionMode.Forced, blocking: true);
        // Events arrive on a thread of the runtime's, some time after.
        Stopwatch waiting = Stopwatch.StartNew();
        Pause[] induced;
        do
        {
            Thread.Sleep(10);
            induced = [.. listener.Summarize().Longest.Where(pause => pause.Cause == PauseCause.Induced)];
        }
        while (induced.Length == 0 && waiting.Elapsed < TimeSpan.FromSeconds(60));
        Assert.That(induced, Is.Not.Empty);
        Assert.Multiple(() =>
        {
            Assert.That(induced[0].Generation, Is.EqualTo(2));
            Assert.That(induced[0].Milliseconds, Is.GreaterThan(0));
            Assert.That(induced[0].SuspensionMilliseconds, Is.LessThanOrEqualTo(induced[0].Milliseconds));
            Assert.That(induced[0].PromotedBytes, Is.GreaterThan(0));
        });
    }

    [Test]
    public void A_summary_counts_what_is_above_the_goal()
    {
        Pause[] pauses = [.. Enumerable.Range(1, 101).Select(i => new Pause(i / 10.0, i / 20.0, i % 3, PauseCause.AllocationSmall, i))];
        PauseSummary summary = PauseSummary.Of(pauses);
        Assert.Multiple(() =>
        {
            Assert.That(summary.Count, Is.EqualTo(101));
            Assert.That(summary.Above5Milliseconds, Is.EqualTo(51));
            Assert.That(summary.Milliseconds, Is.EqualTo(new Quantiles(5.1, 10.0, 10.1)));
            Assert.That(summary.Suspension.Max, Is.EqualTo(5.05));
            Assert.That(summary.Generations, Is.EqualTo(new[] { 33, 34, 34 }));
            Assert.That(summary.Longest[0].Milliseconds, Is.EqualTo(10.1));
        });
    }

    [Test]
    public void No_pauses_are_zero() => Assert.That(PauseSummary.Of([]).Milliseconds, Is.EqualTo(default(Quantiles)));
}
