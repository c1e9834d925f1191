using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Tests.Support;

namespace LlamaServe.Engine.Tests.Scheduling;

public class SchedulerTests
{
    [Test]
    public void A_long_prompt_is_computed_in_chunks_of_the_budget()
    {
        var harness = new SchedulerHarness(budget: 16);
        Sequence sequence = harness.Add(SchedulerHarness.Prompt(40), 2);
        int[] counts = [Counts(harness)[0], Counts(harness)[0], Counts(harness)[0]];
        Assert.That(counts, Is.EqualTo(new[] { 16, 16, 8 }));
        Assert.That(sequence.OutputCount, Is.EqualTo(1));
    }

    [Test]
    public void Decoding_sequences_keep_their_token_while_others_prefill()
    {
        var harness = new SchedulerHarness(budget: 16);
        harness.Add(SchedulerHarness.Prompt(4), 30);
        harness.Add(SchedulerHarness.Prompt(4, 2), 30);
        harness.Step();
        harness.Add(SchedulerHarness.Prompt(50, 3), 2, priority: 1);
        Assert.That(Counts(harness), Is.EquivalentTo(new[] { 1, 1, 14 }), "even those of lower priority");
        Assert.That(Counts(harness), Is.EquivalentTo(new[] { 1, 1, 14 }));
    }

    [Test]
    public void Logits_are_wanted_of_the_last_known_token_only()
    {
        var harness = new SchedulerHarness(budget: 16);
        harness.Add(SchedulerHarness.Prompt(20), 2);
        harness.Step();
        Assert.That(harness.Plan.Slices[0].LogitsCount, Is.Zero);
        harness.Step();
        Assert.That(harness.Plan.Slices[0], Has.Property(nameof(StepSlice.LogitsFrom)).EqualTo(3).And.Property(nameof(StepSlice.Count)).EqualTo(4));
    }

    [Test]
    public void A_scored_prompt_brings_bounded_rows_a_step_and_all_of_them()
    {
        var harness = new SchedulerHarness();
        Sequence sequence = harness.Add(SchedulerHarness.Prompt(22), 1, scorePrompt: true);
        int rows = 0;
        while (harness.Finished.Count == 0)
        {
            harness.Step();
            rows += harness.Plan.Slices[0].LogitsCount;
            Assert.That(harness.Plan.Slices[0].LogitsCount, Is.LessThanOrEqualTo(6));
        }
        Assert.That(rows, Is.EqualTo(22), "21 scores and a sample");
        Assert.That(sequence.ScoredCount, Is.EqualTo(21));
    }

    [Test]
    public void A_scored_prompt_does_not_skip_positions_that_are_in_the_cache()
    {
        var harness = new SchedulerHarness();
        harness.Add(SchedulerHarness.Prompt(22), 1);
        harness.Drain();
        Sequence scored = harness.Add(SchedulerHarness.Prompt(22), 1, scorePrompt: true);
        harness.Drain();
        Assert.That(scored.PrefixHit, Is.Zero);
    }

    [Test]
    public void Out_of_blocks_the_latest_of_the_lowest_priority_gives_way_and_comes_back()
    {
        var harness = new SchedulerHarness(blocks: 9, prefixCaching: false);
        Sequence first = harness.Add(SchedulerHarness.Prompt(8), 13);
        Sequence urgent = harness.Add(SchedulerHarness.Prompt(8, 2), 8, priority: 1);
        Sequence last = harness.Add(SchedulerHarness.Prompt(8, 3), 12);
        harness.Drain();
        Assert.That(last.Preemptions, Is.Positive);
        Assert.That(first.Preemptions + urgent.Preemptions, Is.Zero);
        Assert.That(harness.Finished, Has.Count.EqualTo(3));
    }

    [Test]
    public void A_waiting_sequence_of_higher_priority_displaces_a_running_one()
    {
        var harness = new SchedulerHarness(blocks: 8);
        Sequence low = harness.Add(SchedulerHarness.Prompt(20), 10);
        harness.Step();
        Sequence high = harness.Add(SchedulerHarness.Prompt(20, 2), 2, priority: 1);
        harness.Step();
        Assert.That((low.Status, high.Status), Is.EqualTo((SequenceStatus.Waiting, SequenceStatus.Running)));
        harness.Drain();
        Assert.That(harness.Finished, Is.EqualTo(new[] { high, low }));
    }

    [Test]
    public void Equal_priority_does_not_displace()
    {
        var harness = new SchedulerHarness(blocks: 8);
        Sequence first = harness.Add(SchedulerHarness.Prompt(20), 10);
        harness.Step();
        Sequence second = harness.Add(SchedulerHarness.Prompt(20, 2), 2);
        harness.Drain();
        Assert.That(harness.Finished, Is.EqualTo(new[] { first, second }));
        Assert.That(harness.Counters.Preemptions, Is.Zero);
    }

    [Test]
    public void A_request_that_needs_every_block_runs_with_its_last_token_outside()
    {
        var harness = new SchedulerHarness(blocks: 5);
        harness.Add(SchedulerHarness.Prompt(12), 9);
        harness.Add(SchedulerHarness.Prompt(12, 2), 9);
        harness.Drain();
        Assert.That(harness.Finished, Has.Count.EqualTo(2));
    }

    [Test]
    public void A_forked_sample_shares_the_prompt_and_copies_only_the_block_it_writes()
    {
        var harness = new SchedulerHarness();
        Sequence parent = harness.Add(SchedulerHarness.Prompt(10), 6);
        harness.Step();
        var child = new Sequence(parent.Spec with { Sample = 1 });
        harness.Scheduler.Fork(parent, child, harness.Now);
        Assert.That(harness.Blocks.UsedBlocks, Is.EqualTo(3));
        harness.Step();
        Assert.That(child.BlockTable[..2].ToArray(), Is.EqualTo(parent.BlockTable[..2].ToArray()));
        Assert.That(child.BlockTable[2], Is.Not.EqualTo(parent.BlockTable[2]));
        Assert.That(harness.Blocks.UsedBlocks, Is.EqualTo(4));
        harness.Drain();
        Assert.That(harness.Finished, Is.EquivalentTo(new[] { parent, child }));
    }

    [Test]
    public void A_prompt_that_fills_its_blocks_is_forked_without_touching_the_cached_one()
    {
        var harness = new SchedulerHarness(blocks: 3);
        Sequence parent = harness.Add(SchedulerHarness.Prompt(12), 1);
        harness.Step();
        var child = new Sequence(parent.Spec with { Sample = 1 });
        harness.Scheduler.Fork(parent, child, harness.Now);
        harness.Drain();
        Assert.That(harness.Finished, Has.Count.EqualTo(2), "though no block was left to copy to");
    }

    [Test]
    public void A_paused_sequence_keeps_its_blocks_until_they_are_needed()
    {
        var harness = new SchedulerHarness(blocks: 8);
        Sequence paused = harness.Add(SchedulerHarness.Prompt(12), 8);
        harness.Step();
        harness.Scheduler.SetPaused(paused, true, harness.Now);
        harness.Step();
        Assert.That((harness.Plan.IsEmpty, paused.BlockCount), Is.EqualTo((true, 3)));
        Sequence other = harness.Add(SchedulerHarness.Prompt(20, 2), 8);
        while (!harness.Finished.Contains(other))
        {
            harness.Step();
        }
        Assert.That(paused.Status, Is.EqualTo(SequenceStatus.Parked));
        harness.Scheduler.SetPaused(paused, false, harness.Now);
        harness.Drain();
        Assert.That(harness.Finished, Does.Contain(paused));
    }

    [Test]
    public void A_decode_step_of_256_sequences_allocates_nothing()
    {
        var harness = new SchedulerHarness(blocks: 8192, blockSize: 16, budget: 512, maxSequences: 256);
        for (int i = 0; i < 256; i++)
        {
            harness.Add(SchedulerHarness.Prompt(2, i), 400);
        }
        harness.Step();
        harness.Step();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 200; i++)
        {
            harness.Scheduler.Schedule(harness.Plan, i);
            StepProgress.Advance(harness.Plan);
            harness.Progress.Commit(harness.Plan);
            foreach (StepSlice slice in harness.Plan.Slices)
            {
                slice.Sequence.Resolve(i);
            }
        }
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
        Assert.That(harness.Plan.Count, Is.EqualTo(256));
    }

    private static int[] Counts(SchedulerHarness harness)
    {
        harness.Step();
        return [.. harness.Plan.Slices.ToArray().Select(s => s.Count)];
    }
}
