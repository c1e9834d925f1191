using System.Diagnostics.Metrics;
using LlamaServe.Engine.Requests;

namespace LlamaServe.Engine;

/// <summary>
/// What the engine measures, under OpenTelemetry's names for generative-AI servers where it has one and under
/// <c>llamaserve.*</c> else. Durations are in seconds.
/// </summary>
internal sealed class EngineMetrics : IDisposable
{
    public const string MeterName = "LlamaServe.Engine";

    private static readonly double[] RequestBuckets = [.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
    private static readonly double[] FirstTokenBuckets = [.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10];
    private static readonly double[] TokenBuckets = [.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5];
    private static readonly double[] StepBuckets = [.0005, .001, .002, .005, .01, .02, .035, .05, .075, .1, .2, .5, 1, 2.5, 10];
    private static readonly double[] HostBuckets = [1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 5e-2];
    private static readonly double[] PauseBuckets = [5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, .1];

    private readonly Meter _meter;
    private readonly Histogram<double> _requestDuration;
    private readonly Histogram<double> _timeToFirstToken;
    private readonly Histogram<double> _timePerOutputToken;
    private readonly Histogram<double> _queueTime;
    private readonly Histogram<double> _stepTime;
    private readonly Histogram<double> _hostTime;
    private readonly Histogram<double> _gcPause;
    private readonly Counter<long> _finished;

    public EngineMetrics(IMeterFactory? factory, Func<EngineStatistics> statistics)
    {
        _meter = factory?.Create(MeterName) ?? new Meter(MeterName);
        _requestDuration = Seconds("gen_ai.server.request.duration", "From submission to the last token.", RequestBuckets);
        _timeToFirstToken = Seconds("gen_ai.server.time_to_first_token", "From submission to the first token.", FirstTokenBuckets);
        _timePerOutputToken = Seconds("gen_ai.server.time_per_output_token", "Per token after the first.", TokenBuckets);
        _queueTime = Seconds("llamaserve.request.queue_time", "From submission to the first computed token.", RequestBuckets);
        _stepTime = Seconds("llamaserve.step.duration", "A step, all of it.", StepBuckets);
        _hostTime = Seconds("llamaserve.step.host_time", "A step's time outside the model.", HostBuckets);
        _gcPause = Seconds("llamaserve.gc.pause", "Pauses of all threads by the garbage collector.", PauseBuckets);
        _finished = _meter.CreateCounter<long>("llamaserve.requests.finished", "{request}", "Requests that ended, by reason.");
        Observe(statistics);
    }

    public void RequestEnded(TimeSpan total, GenerationSummary summary, int samples, FinishReason reason)
    {
        _finished.Add(1, new KeyValuePair<string, object?>("reason", reason.ToString()));
        _requestDuration.Record(total.TotalSeconds);
        int later = summary.CompletionTokens / samples - 1;
        if (later > 0)
        {
            _timePerOutputToken.Record(summary.Timings.Decode.TotalSeconds / later);
        }
    }

    public void FirstScheduled(TimeSpan queued) => _queueTime.Record(queued.TotalSeconds);

    public void FirstToken(TimeSpan sinceSubmission) => _timeToFirstToken.Record(sinceSubmission.TotalSeconds);

    public void Step(TimeSpan step, TimeSpan host)
    {
        _stepTime.Record(step.TotalSeconds);
        _hostTime.Record(host.TotalSeconds);
    }

    public void GcPause(TimeSpan pause) => _gcPause.Record(pause.TotalSeconds);

    public void Dispose() => _meter.Dispose();

    private void Observe(Func<EngineStatistics> statistics)
    {
        Gauge("llamaserve.sequences.waiting", "{sequence}", "Sequences that wait for blocks.", s => s.WaitingSequences);
        Gauge("llamaserve.sequences.running", "{sequence}", "Sequences that hold blocks.", s => s.RunningSequences);
        Gauge("llamaserve.sequences.paused", "{sequence}", "Sequences whose reader is behind.", s => s.PausedSequences);
        Gauge("llamaserve.requests.in_flight", "{request}", "Requests that were taken and have not ended.", s => s.RequestsInFlight);
        Gauge("llamaserve.kv_cache.blocks", "{block}", "Blocks of the KV cache.", s => s.KvBlocks);
        Gauge("llamaserve.kv_cache.blocks_used", "{block}", "Blocks that sequences hold.", s => s.KvBlocksUsed);
        Gauge("llamaserve.kv_cache.host_blocks", "{block}", "Blocks of the KV cache in host memory.", s => s.KvHostBlocks);
        Gauge("llamaserve.kv_cache.host_blocks_used", "{block}", "Of those the ones that hold a cached prefix.", s => s.KvHostBlocksUsed);
        Total("llamaserve.kv_cache.blocks_swapped_out", "{block}", "Blocks copied to host memory.", s => s.BlocksSwappedOut);
        Total("llamaserve.kv_cache.blocks_swapped_in", "{block}", "Blocks copied back from host memory.", s => s.BlocksSwappedIn);
        _meter.CreateObservableGauge("llamaserve.kv_cache.usage", () => Usage(statistics()), "1", "Fraction of the blocks that sequences hold.");
        Total("llamaserve.steps", "{step}", "Steps done.", s => s.Steps);
        Total("llamaserve.preemptions", "{preemption}", "Sequences that lost their blocks.", s => s.Preemptions);
        Total("llamaserve.prefix_cache.queries", "{token}", "Tokens looked for in the prefix cache.", s => s.PrefixQueriedTokens);
        Total("llamaserve.prefix_cache.hits", "{token}", "Tokens found in the prefix cache.", s => s.PrefixHitTokens);
        Total("llamaserve.prefix_cache.host_hits", "{token}", "Of those the ones found in host memory.", s => s.PrefixHostHitTokens);
        Total("llamaserve.tokens.prefill", "{token}", "Prompt tokens computed.", s => s.PrefillTokens);
        Total("llamaserve.tokens.generated", "{token}", "Tokens generated.", s => s.GeneratedTokens);
        Total("llamaserve.loop.restarts", "{restart}", "Restarts of the loop.", s => s.Restarts);
        _meter.CreateObservableCounter("llamaserve.gc.pause_total", () => GC.GetTotalPauseDuration().TotalSeconds, "s", "All pauses by the garbage collector.");

        void Gauge(string name, string unit, string description, Func<EngineStatistics, int> value) =>
            _meter.CreateObservableGauge(name, () => value(statistics()), unit, description);

        void Total(string name, string unit, string description, Func<EngineStatistics, long> value) =>
            _meter.CreateObservableCounter(name, () => value(statistics()), unit, description);
    }

    private static double Usage(EngineStatistics s) => s.KvBlocks == 0 ? 0 : (double)s.KvBlocksUsed / s.KvBlocks;

    private Histogram<double> Seconds(string name, string description, double[] buckets) =>
        _meter.CreateHistogram(name, "s", description, tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = buckets });
}
