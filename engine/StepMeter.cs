using LlamaServe.Engine.KvCache;
using LlamaServe.Engine.Scheduling;

namespace LlamaServe.Engine;

/// <summary>Times the steps: for the metrics, for the cost model that sizes later steps, and for retry estimates.</summary>
internal sealed class StepMeter(LoopContext context)
{
    /// <summary>Weight of the newest step in the rate of work.</summary>
    private const double RateWeight = 0.05;

    private readonly GcPauseMeter _gcPauses = new(context.Metrics);
    private TimeSpan _execution;
    private double _tokensPerSecond;

    public KvCacheManager? Blocks { get; set; }

    public long Started { get; private set; }

    public long Steps { get; private set; }

    public void Begin()
    {
        Started = context.Time.GetTimestamp();
        _execution = TimeSpan.Zero;
    }

    /// <summary>Adds a stay in the model that began at <paramref name="started"/>.</summary>
    public void AddExecution(long started) => _execution += context.Time.GetElapsedTime(started);

    /// <param name="done">The plan whose step was finished; null for none.</param>
    public void End(StepPlan? done, Scheduler scheduler, LiveRequests live)
    {
        if (done is not null)
        {
            Observe(done);
        }
        EngineCounters counters = context.Counters;
        counters.Waiting = scheduler.WaitingCount;
        counters.Running = scheduler.Running.Count;
        counters.Paused = live.Paused.Count;
        counters.KvBlocks = Blocks!.BlockCount;
        counters.KvBlocksUsed = Blocks.UsedBlocks;
        counters.KvHostBlocks = Blocks.Host?.BlockCount ?? 0;
        counters.KvHostBlocksUsed = Blocks.Host?.UsedBlocks ?? 0;
    }

    /// <summary>Takes the time since <see cref="Begin"/> for the step's: where steps overlap, it is the time from end to end.</summary>
    private void Observe(StepPlan plan)
    {
        TimeSpan step = context.Time.GetElapsedTime(Started);
        Steps++;
        context.Costs.Observe(plan.TokenCount, plan.AttendedTokens, step.TotalSeconds);
        double rate = plan.TokenCount / Math.Max(step.TotalSeconds, 1e-6);
        _tokensPerSecond += (Steps == 1 ? 1 : RateWeight) * (rate - _tokensPerSecond);
        context.Admission.ReportRate(_tokensPerSecond);
        EngineCounters counters = context.Counters;
        counters.Steps++;
        counters.LastStep = step;
        counters.LastHost = step - _execution;
        context.Metrics.Step(step, counters.LastHost);
        _gcPauses.Observe();
    }
}
