using LlamaServe.Engine.KvCache;
using LlamaServe.Engine.Scheduling;

namespace LlamaServe.Engine.Tests.Support;

/// <summary>The real scheduler and block accounting on plain numbers, stepped by hand over a <see cref="PagedMemory"/>.</summary>
internal sealed class SchedulerHarness
{
    private readonly PagedMemory _memory;
    private long _arrivals;

    public SchedulerHarness(
        int blocks = 64, int blockSize = 4, int budget = 32, int maxSequences = 8, bool prefixCaching = true, long agingInterval = long.MaxValue)
    {
        Options = new SchedulerOptions(budget, maxSequences, MinPrefillTokens: 4, PromptLogProbRows: 5, AgingInterval: agingInterval);
        Hasher = new BlockHasher(new byte[16]);
        Blocks = new KvCacheManager(blocks, blockSize, prefixCaching, Hasher);
        Scheduler = new Scheduler(Options, Blocks, new StepCostModel(), Counters);
        Plan = new StepPlan(maxSequences);
        _memory = new PagedMemory(blocks, blockSize);
    }

    public SchedulerOptions Options { get; }

    public BlockHasher Hasher { get; }

    public KvCacheManager Blocks { get; }

    public Scheduler Scheduler { get; }

    public EngineCounters Counters { get; } = new();

    public StepPlan Plan { get; }

    public long Now { get; set; }

    /// <summary>Sequences that have come to their full length, in order.</summary>
    public List<Sequence> Finished { get; } = [];

    public static int[] Prompt(int length, int seed = 1) => [.. Enumerable.Range(0, length).Select(i => seed * 1000 + i)];

    public Sequence Add(int[] prompt, int newTokens, int priority = 0, string tenant = "", bool scorePrompt = false, int sample = 0)
    {
        var sequence = new Sequence(new SequenceSpec(
            prompt, prompt.Length + newTokens, sample, priority, _arrivals++, tenant, Hasher.Root(tenant, ""), scorePrompt));
        Scheduler.Add(sequence, Now);
        return sequence;
    }

    /// <summary>A step as the loop does it, with all invariants checked.</summary>
    public void Step()
    {
        Now++;
        Scheduler.Schedule(Plan, Now);
        CheckPlan();
        Scheduler.CheckIntegrity();
        _memory.Store(Plan);
        CheckMemory();
        Scheduler.Commit(Plan);
        foreach (StepSlice slice in Plan.Slices.ToArray())
        {
            Sequence sequence = slice.Sequence;
            if (sequence.ComputedCount == sequence.KnownCount)
            {
                sequence.Append((int)((PagedMemory.Attend(sequence.Tokens) + (uint)sequence.Spec.Sample) % 1000));
                if (sequence.KnownCount == sequence.Spec.MaxLength)
                {
                    Scheduler.Remove(sequence, Now);
                    Finished.Add(sequence);
                }
            }
        }
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

    private void CheckPlan()
    {
        bool hasWork = Scheduler.WaitingCount > 0 || Scheduler.Running.Any(s => !s.IsPaused);
        Assert.That(Plan.IsEmpty, Is.EqualTo(!hasWork), "a step with work does some of it");
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
            if (_memory.Attend(slice.Sequence, end - 1) != PagedMemory.Attend(slice.Sequence.Tokens[..end]))
            {
                Assert.Fail($"sequence {slice.Sequence.Spec.Arrival} attends to tokens that are not its own");
            }
        }
    }
}
