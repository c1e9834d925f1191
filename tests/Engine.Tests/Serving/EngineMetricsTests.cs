using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Tests.Support;

namespace LlamaServe.Engine.Tests.Serving;

[NonParallelizable]
[TestFixture(false)]
[TestFixture(true)]
public class EngineMetricsTests(bool overlaps)
{
    [Test]
    public async Task What_the_engine_does_is_measured_under_names_that_every_exporter_takes()
    {
        var seen = new ConcurrentDictionary<string, double>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, l) =>
            {
                if (instrument.Meter.Name == EngineMetrics.MeterName)
                {
                    l.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<double>((i, value, _, _) => seen.AddOrUpdate(i.Name, value, (_, sum) => sum + value));
        listener.SetMeasurementEventCallback<long>((i, value, _, _) => seen.AddOrUpdate(i.Name, value, (_, sum) => sum + value));
        listener.SetMeasurementEventCallback<int>((i, value, _, _) => seen[i.Name] = value);
        listener.Start();
        bool collected = false;
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, beforeStep: _ =>
        {
            if (!collected)
            {
                GC.Collect();
                collected = true;
            }
            Thread.Sleep(1);
        }, hostBlocks: 20);
        await Task.WhenAll(Enumerable.Range(0, 3).Select(i => harness.RunAsync(EngineHarness.Request(seed: i))));
        await harness.UntilAsync(s => s.RunningSequences == 0);
        listener.RecordObservableInstruments();

        Assert.That(seen.Keys, Has.All.Matches<string>(n => n!.All(c => char.IsAsciiLetterLower(c) || c is '.' or '_')));
        Assert.That(seen["llamaserve.requests.finished"], Is.EqualTo(3));
        Assert.That(seen["llamaserve.tokens.generated"], Is.EqualTo(30));
        Assert.That(seen["llamaserve.tokens.prefill"], Is.EqualTo(30));
        Assert.That(seen["llamaserve.kv_cache.blocks"], Is.EqualTo(64));
        Assert.That(seen["llamaserve.kv_cache.host_blocks"], Is.EqualTo(20));
        string[] unused = ["host_blocks_used", "blocks_swapped_out", "blocks_swapped_in"];
        Assert.That(unused.Select(name => seen[$"llamaserve.kv_cache.{name}"]).Append(seen["llamaserve.prefix_cache.host_hits"]), Is.All.Zero);
        string[] measured =
        [
            "gen_ai.server.request.duration", "gen_ai.server.time_to_first_token", "gen_ai.server.time_per_output_token",
            "llamaserve.request.queue_time", "llamaserve.step.duration", "llamaserve.step.host_time", "llamaserve.gc.pause", "llamaserve.gc.pause_total",
        ];
        foreach (string name in measured)
        {
            Assert.That(seen.GetValueOrDefault(name), Is.Positive, name);
        }
        // Where steps overlap, this runner computes while it starts a step, which counts as the host's time.
        Assert.That(seen["llamaserve.step.host_time"], overlaps
            ? Is.LessThanOrEqualTo(seen["llamaserve.step.duration"])
            : Is.LessThan(seen["llamaserve.step.duration"]));
    }

    [Test]
    public async Task Timings_tell_where_the_time_of_a_request_went()
    {
        var time = new ManualTime();
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, EngineHarness.Small with { TokenBudget = 8, MaxSequences = 8 }, time, beforeStep: _ => time.Advance(TimeSpan.FromMilliseconds(10)));
        Generation generation = harness.Submit(EngineHarness.Request(prompt: 20, newTokens: 5));
        await EngineHarness.CollectAsync(generation);
        GenerationTimings timings = generation.Summary!.Timings;
        Assert.That(timings.Queue, Is.EqualTo(TimeSpan.Zero));
        // Where steps overlap, a step's results come when the next one has been started; none follows the last.
        Assert.That(timings.Prefill, Is.EqualTo(TimeSpan.FromMilliseconds(overlaps ? 40 : 30)));
        Assert.That(timings.TimeToFirstToken, Is.EqualTo(TimeSpan.FromMilliseconds(overlaps ? 40 : 30)));
        Assert.That(timings.Decode, Is.EqualTo(TimeSpan.FromMilliseconds(overlaps ? 30 : 40)));
    }
}
