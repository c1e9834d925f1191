using LlamaServe.Engine;
using LlamaServe.Engine.KvCache;
using LlamaServe.Engine.Scheduling;

namespace LlamaServe.Bench.Simulation;

/// <summary>The engine's own scheduler and KV cache over a cost model instead of a device: it starts steps and is told when they are over.</summary>
internal sealed class Replica
{
    private const double TicksPerSecond = 1e6;

    private readonly Scheduler _scheduler;
    private readonly KvCacheManager _blocks;
    private readonly StepProgress _progress;
    private readonly StepPlan _plan;
    private readonly StepCostModel _costs;
    private readonly IStepCost _device;
    private double _started;
    private double _usedSeconds;
    private long _arrivals;

    /// <param name="options">As an engine takes them.</param>
    /// <param name="kvTokens">Tokens that its KV cache holds.</param>
    /// <param name="costs">What the engine has learned before of how long steps take; null: nothing.</param>
    public Replica(EngineOptions options, int kvTokens, IStepCost device, StepCostModel? costs = null)
    {
        options.Validate();
        _costs = costs ?? new StepCostModel();
        _device = device;
        _plan = new StepPlan(options.MaxSequences);
        _blocks = new KvCacheManager(kvTokens / options.BlockSize, options.BlockSize, options.PrefixCaching, new BlockHasher());
        _progress = new StepProgress(_blocks);
        SchedulerOptions limits = new(
            options.TokenBudget, options.MaxSequences, options.MinPrefillTokens, options.PromptLogProbRows,
            options.StepTimeTarget.TotalSeconds, (long)(options.AgingInterval.TotalSeconds * TicksPerSecond));
        _scheduler = new Scheduler(limits, _blocks, _costs, Counters);
    }

    public EngineCounters Counters { get; } = new();

    public bool IsStepping { get; private set; }

    /// <summary>Tokens, input and output, of requests that are here and have not ended.</summary>
    public long OutstandingTokens { get; private set; }

    public long Steps { get; private set; }

    /// <summary>Seconds in which a step ran.</summary>
    public double BusySeconds { get; private set; }

    public double PeakKvUse { get; private set; }

    /// <summary>Part of the KV cache in use, averaged over the seconds in which a step ran.</summary>
    public double MeanKvUse => BusySeconds == 0 ? 0 : _usedSeconds / BusySeconds;

    /// <summary>Seconds between tokens of a request.</summary>
    public LatencyHistogram Gaps { get; } = new();

    /// <exception cref="ArgumentException">It would never fit into the KV cache.</exception>
    public void Add(SimulatedTurn turn, double now)
    {
        int tokens = turn.Prompt.Length + turn.OutputTokens;
        if (_blocks.BlocksFor(tokens) > _blocks.BlockCount)
        {
            throw new ArgumentException($"a request of {tokens} tokens does not fit a KV cache of {_blocks.BlockCount * _blocks.BlockSize}");
        }

        OutstandingTokens += tokens;
        _scheduler.Add(new Sequence(new SequenceSpec(turn.Prompt, tokens, Arrival: _arrivals++), turn), Ticks(now));
    }

    /// <summary>Starts a step, if there is work and none runs.</summary>
    /// <returns>When it is over; null if none was started.</returns>
    public double? TryStart(double now)
    {
        if (IsStepping)
        {
            return null;
        }

        _scheduler.Schedule(_plan, Ticks(now));
        if (_plan.IsEmpty)
        {
            return null;
        }

        IsStepping = true;
        _started = now;
        PeakKvUse = Math.Max(PeakKvUse, KvUse);
        return now + _device.Seconds(StepSize.Of(_plan));
    }

    /// <summary>Ends the step.</summary>
    /// <param name="onEnd">Called with each turn that has all its tokens, and with everything said.</param>
    public void End(double now, Action<SimulatedTurn, int[]> onEnd)
    {
        double seconds = now - _started;
        _usedSeconds += KvUse * seconds;
        BusySeconds += seconds;
        Steps++;
        IsStepping = false;
        StepProgress.Advance(_plan);
        _progress.Commit(_plan);
        _costs.Observe(_plan.TokenCount, _plan.AttendedTokens, seconds);
        foreach (ref readonly StepSlice slice in _plan.Slices)
        {
            if (slice.Samples)
            {
                Append(slice.Sequence, now, onEnd);
            }
        }
    }

    private double KvUse => _blocks.UsedBlocks / (double)_blocks.BlockCount;

    private static long Ticks(double seconds) => (long)(seconds * TicksPerSecond);

    private void Append(Sequence sequence, double now, Action<SimulatedTurn, int[]> onEnd)
    {
        SimulatedTurn turn = (SimulatedTurn)sequence.Owner!;
        if (sequence.OutputCount == 1)
        {
            turn.FirstToken = now;
            turn.PrefixHit = sequence.PrefixHit;
        }
        else
        {
            Gaps.Add(now - turn.LastToken);
        }

        turn.LastToken = now;
        // Any id that is the same whenever the same conversation is simulated.
        sequence.Resolve(((sequence.KnownCount - 1) * 31 + turn.Index) & 0x7FFF);
        if (sequence.OutputCount == turn.OutputTokens)
        {
            OutstandingTokens -= turn.Prompt.Length + turn.OutputTokens;
            int[] said = turn.IsLast ? [] : sequence.Tokens.ToArray();
            _scheduler.Remove(sequence, Ticks(now));
            onEnd(turn, said);
        }
    }
}
