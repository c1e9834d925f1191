using LlamaServe.Engine.KvCache;

namespace LlamaServe.Engine.Scheduling;

/// <summary>What a planned step does to its sequences when it is started, when it is done, and when it fails.</summary>
internal sealed class StepProgress(KvCacheManager blocks)
{
    /// <summary>
    /// The plan is under way: its tokens count as computed, so that the next step can be planned on top of it, and each sequence
    /// that it samples gets a pending token.
    /// </summary>
    public static void Advance(StepPlan plan)
    {
        int row = 0;
        foreach (ref readonly StepSlice slice in plan.Slices)
        {
            Sequence sequence = slice.Sequence;
            sequence.ComputedCount = slice.Start + slice.Count;
            if (sequence.IsScoring)
            {
                sequence.ScoredCount = Math.Min(sequence.ComputedCount, sequence.PromptLength - 1);
            }
            row += slice.LogitsCount;
            if (slice.Samples)
            {
                sequence.AppendPending(row - 1);
            }
        }
    }

    /// <summary>The plan is done: full blocks can be shared. Its pending tokens are resolved by the caller, afterwards.</summary>
    public void Commit(StepPlan plan)
    {
        foreach (ref readonly StepSlice slice in plan.Slices)
        {
            if (slice.HasBlocks)
            {
                blocks.Commit(slice.Sequence, slice.Start + slice.Count);
            }
            if (slice.Samples && slice.Sequence.Status != SequenceStatus.Idle)
            {
                slice.Sequence.Account!.ChargeOutput(slice.Sequence);
            }
        }
    }

    /// <summary>The plan came to nothing: takes <see cref="Advance"/> back. Of two plans under way the later comes first.</summary>
    public static void Rewind(StepPlan plan)
    {
        foreach (ref readonly StepSlice slice in plan.Slices)
        {
            Sequence sequence = slice.Sequence;
            if (sequence.Status == SequenceStatus.Idle)
            {
                continue;
            }
            if (slice.Samples)
            {
                sequence.DropPending();
            }
            if (slice.LogitsCount > 0)
            {
                sequence.ScoredCount = Math.Min(sequence.ScoredCount, slice.Start + slice.LogitsFrom);
            }
            // Preempted since, and back with more of its prefix than it now has tokens to compute.
            sequence.ComputedCount = Math.Min(slice.HasBlocks ? slice.Start : sequence.ComputedCount, sequence.KnownCount - 1);
        }
    }
}
