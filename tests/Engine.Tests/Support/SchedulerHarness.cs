using LlamaServe.Engine.KvCache;
using LlamaServe.Engine.Scheduling;

namespace LlamaServe.Engine.Tests.Support;

/// <summary>The real scheduler and block accounting on plain numbers, stepped by hand over a <see cref="PagedMemory"/>.</summary>
internal sealed class SchedulerHarness
{
    private readonly PagedMemory _memory;
    private readonly bool _overlaps;
    private StepPlan? _underWay;
    private StepPlan _spare;
    private int[] _chosen = [];
    private long _arrivals;

    public SchedulerHarness(
        int blocks = 64, int blockSize = 4, int budget = 32, int maxSequences = 8, bool prefixCaching = true, long agingInterval = long.MaxValue,
        bool overlaps = false, int hostBlocks = 0)
    {
        Options = new SchedulerOptions(budget, maxSequences, MinPrefillTokens: 4, PromptLogProbRows: 5, AgingInterval: agingInterval);
        Hasher = new BlockHasher(new byte[16]);
        Blocks = new KvCacheManager(blocks, blockSize, prefixCaching, Hasher, hostBlocks > 0 ? new HostTier(hostBlocks, Counters) : null);
        Scheduler = new Scheduler(Options, Blocks, new StepCostModel(), Counters);
        Progress = new StepProgress(Blocks);
        Plan = new StepPlan(maxSequences);
        _spare = new StepPlan(maxSequences);
        _overlaps = overlaps;
        _memory = new PagedMemory(blocks, blockSize, hostBlocks);
    }

    public SchedulerOptions Options { get; }

    public BlockHasher Hasher { get; }

    public KvCacheManager Blocks { get; }

    public Scheduler Scheduler { get; }

    public EngineCounters Counters { get; } = new();

    public StepProgress Progress { get; }

    public StepPlan Plan { get; private set; }

    /// <summary>Tokens that end a sequence before its full length.</summary>
    public Predicate<int> IsEnd { get; init; } = _ => false;

    /// <summary>Whether a step fails; what is under way then comes to nothing.</summary>
    public Func<bool> Fails { get; init; } = () => false;

    public long Now { get; set; }

    /// <summary>Sequences that have come to their end, in order.</summary>
    public List<Sequence> Finished { get; } = [];

    public static int[] Prompt(int length, int seed = 1) => [.. Enumerable.Range(0, length).Select(i => seed * 1000 + i)];

    public Sequence Add(int[] prompt, int newTokens, int priority = 0, string tenant = "", bool scorePrompt = false, int sample = 0)
    {
        var sequence = new Sequence(new SequenceSpec(
            prompt, prompt.Length + newTokens, sample, priority, _arrivals++, tenant, Hasher.Root(tenant, ""), scorePrompt));
        Scheduler.Add(sequence, Now);
        return sequence;
    }

    /// <summary>A step as the loop does it, with all invariants checked. Where steps overlap, the one before it is finished meanwhile.</summary>
    public void Step()
    {
        Now++;
        if (_overlaps)
        {
            (Plan, _spare) = (_spare, Plan);
        }
        Scheduler.Schedule(Plan, Now);
        CheckPlan();
        Scheduler.CheckIntegrity();
        // An empty plan is not run: what it was to swap is left for the next one.
        if (!Plan.IsEmpty)
        {
            _memory.Store(Plan, _chosen);
            CheckMemory();
        }
        int[] chosen = Choose();
        StepProgress.Advance(Plan);
        StepPlan? done = _overlaps ? _underWay : Plan;
        if (Fails())
        {
            StepProgress.Rewind(Plan);
            if (_underWay is not null)
            {
                StepProgress.Rewind(_underWay);
            }
            _underWay = null;
        }
        else
        {
            if (done is not null)
            {
                Finish(done, _overlaps ? _chosen : chosen);
            }
            _underWay = _overlaps && !Plan.IsEmpty ? Plan : null;
        }
        _chosen = chosen;
        Scheduler.CheckIntegrity();
    }

    /// <summary>Steps until nothing is left; fails when that takes too long.</summary>
    public void Drain(int mostSteps = 10_000)
    {
        while (Scheduler.Running.Count + Scheduler.WaitingCount > 0)
        {
            Assert.That(mostSteps--, Is.Positive, "the work does not come to an end");
            Step();
        }
        Assert.That(Blocks.UsedBlocks, Is.Zero);
    }

    private static bool IsComplete(Sequence sequence) => sequence.PendingCount > 0 && sequence.KnownCount == sequence.Spec.MaxLength;

    /// <summary>What the model makes of the plan: a token for each row of logits.</summary>
    private int[] Choose()
    {
        var chosen = new List<int>();
        foreach (StepSlice slice in Plan.Slices)
        {
            chosen.AddRange(new int[slice.LogitsCount]);
            if (slice.Samples)
            {
                uint attended = _memory.Attend(slice.Sequence, slice.Start + slice.Count - 1);
                chosen[^1] = (int)((attended + (uint)slice.Sequence.Spec.Sample) % 1000);
            }
        }
        return [.. chosen];
    }

    private void Finish(StepPlan plan, int[] chosen)
    {
        Progress.Commit(plan);
        int row = 0;
        foreach (StepSlice slice in plan.Slices.ToArray())
        {
            Sequence sequence = slice.Sequence;
            row += slice.LogitsCount;
            if (!slice.Samples || sequence.Status == SequenceStatus.Idle)
            {
                continue;
            }
            sequence.Resolve(chosen[row - 1]);
            if (IsEnd(chosen[row - 1]) || sequence.KnownCount - sequence.PendingCount == sequence.Spec.MaxLength)
            {
                Scheduler.Remove(sequence, Now);
                Finished.Add(sequence);
            }
        }
    }

    private void CheckPlan()
    {
        // While a step is under way, those that it completes may hold the blocks that others need.
        bool hasWork = Scheduler.WaitingCount > 0 || Scheduler.Running.Any(s => !s.IsPaused && !IsComplete(s));
        Assert.That(Plan.IsEmpty && hasWork && _underWay is null, Is.False, "a step with work does some of it");
        Assert.That(!Plan.IsEmpty && !hasWork, Is.False, "a step without work does none");
        Assert.That(Plan.TokenCount, Is.LessThanOrEqualTo(Options.TokenBudget));
        Assert.That(Scheduler.Running, Has.Count.LessThanOrEqualTo(Options.MaxSequences));
        Assert.That(Plan.Slices.ToArray().Sum(s => s.LogitsCount), Is.LessThanOrEqualTo(Options.MaxSequences + Options.PromptLogProbRows));
        foreach (StepSlice slice in Plan.Slices)
        {
            Sequence sequence = slice.Sequence;
            Assert.That(sequence.Status, Is.EqualTo(SequenceStatus.Running));
            Assert.That(sequence.IsPaused, Is.False);
            Assert.That(slice.Start, Is.EqualTo(sequence.ComputedCount));
            Assert.That(slice.Count, Is.InRange(1, sequence.Outstanding));
            Assert.That(sequence.BlockCount * Blocks.BlockSize, Is.GreaterThanOrEqualTo(slice.Start + slice.Count));
            Assert.That(slice.Samples && slice.LogitsCount == 0, Is.False, "a sampled token needs logits");
        }
    }

    /// <summary>What each planned sequence attends to is its own tokens.</summary>
    private void CheckMemory()
    {
        foreach (StepSlice slice in Plan.Slices)
        {
            int end = slice.Start + slice.Count;
            int[] own = [.. slice.Sequence.Tokens[..end].ToArray().Select(token => token >= 0 ? token : _chosen[~token])];
            if (_memory.Attend(slice.Sequence, end - 1) != PagedMemory.Attend(own))
            {
                Assert.Fail($"sequence {slice.Sequence.Spec.Arrival} attends to tokens that are not its own");
            }
        }
    }
}
