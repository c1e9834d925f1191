using LlamaServe.Engine.KvCache;
using LlamaServe.Kernels;

namespace LlamaServe.Engine.Scheduling;

// Path 5/9: who runs how many tokens this step. Pure: no clock, no backend, no logger; times are numbers given to it.

/// <summary>
/// Lets each sequence's computed tokens catch up with its known tokens under a token budget. Running sequences come first,
/// in order of rank; what they leave goes to waiting ones. A decoding sequence never has to give up its token for
/// somebody's prompt. When blocks run out, the lowest in rank loses its own and recomputes later: nobody fails, and the
/// highest always gets on, so the work comes to an end.
/// </summary>
internal sealed class Scheduler(SchedulerOptions options, KvCacheManager blocks, StepCostModel costs, EngineCounters counters)
{
    private readonly RunningSet _running = new(options.MaxSequences);
    private readonly WaitingQueue _waiting = new(options.AgingInterval);
    private readonly TenantAccounts _tenants = new();
    private readonly SequenceBuffers _buffers = new(options.MaxSequences);
    private readonly List<BlockCopy> _copies = new(options.MaxSequences);
    private PrefillBudget _left;
    private Sequence? _blockedHead;
    private int _blockedFree;

    /// <summary>Sequences that hold blocks, highest rank first.</summary>
    public IReadOnlyList<Sequence> Running => _running.Sequences;

    public int WaitingCount => _waiting.Count;

    /// <summary>Takes in a new sequence.</summary>
    public void Add(Sequence sequence, long now)
    {
        sequence.Account = _tenants.Enter(sequence.Spec.Tenant);
        Enqueue(sequence, now);
    }

    /// <summary>Takes in another sample of a sequence whose prompt is computed; it shares the prompt's blocks if it may run at once.</summary>
    public void Fork(Sequence parent, Sequence child, long now)
    {
        child.Account = _tenants.Enter(child.Spec.Tenant);
        child.ChargedCount = child.PromptLength;
        if (parent.Status != SequenceStatus.Running || parent.ComputedCount < child.PromptLength || _running.IsFull)
        {
            Enqueue(child, now);
            return;
        }
        child.Level = parent.Level;
        child.Reserve(blocks.BlockSize, _buffers);
        blocks.Fork(parent, child);
        _running.Insert(child);
    }

    /// <summary>Lets go of a sequence, whatever its state.</summary>
    public void Remove(Sequence sequence, long now)
    {
        if (sequence.Status == SequenceStatus.Idle)
        {
            return;
        }
        _waiting.Remove(sequence, now, served: false);
        if (sequence.Status == SequenceStatus.Running)
        {
            RemoveRunning(sequence);
        }
        sequence.Status = SequenceStatus.Idle;
        sequence.Account!.ActiveSequences--;
        sequence.Release();
    }

    /// <summary>Stops or resumes scheduling a sequence; while paused it keeps its blocks unless others need them.</summary>
    public void SetPaused(Sequence sequence, bool paused, long now)
    {
        sequence.IsPaused = paused;
        if (paused && sequence.Status == SequenceStatus.Waiting)
        {
            _waiting.Remove(sequence, now, served: false);
            sequence.Status = SequenceStatus.Parked;
        }
        else if (!paused && sequence.Status == SequenceStatus.Parked)
        {
            Enqueue(sequence, now);
        }
    }

    /// <summary>Fills the plan. It is empty only if there is nothing to compute but for paused sequences.</summary>
    /// <param name="now">Any clock that does not go back, in the unit of <see cref="SchedulerOptions.AgingInterval"/>.</param>
    public void Schedule(StepPlan plan, long now)
    {
        plan.Clear();
        plan.Copies = _copies;
        plan.Swaps = blocks.Host?.Swaps;
        _left = PrefillBudget.Of(options, _running, costs);
        _running.Rewind();
        while (_running.Next() is Sequence sequence)
        {
            if (!sequence.IsPaused)
            {
                Continue(sequence, plan, now, isReserved: sequence.Outstanding == 1);
            }
        }
        while (_left.Tokens > 0 && _waiting.Peek(now, out int level) is Sequence next && TryAdmit(next, level, plan, now))
        {
            Continue(next, plan, now, isReserved: false);
        }
    }

    /// <exception cref="InvalidOperationException">Blocks, tables or order are inconsistent.</exception>
    public void CheckIntegrity()
    {
        blocks.CheckIntegrity(_running.Sequences);
        _running.CheckIntegrity();
    }

    /// <summary>Plans a running sequence's next tokens; it stalls where neither budget nor blocks are left for it.</summary>
    /// <param name="isReserved">Whether its one token was set aside before the prefill budget.</param>
    private void Continue(Sequence sequence, StepPlan plan, long now, bool isReserved)
    {
        if (sequence.PendingCount > 0 && sequence.KnownCount == sequence.Spec.MaxLength)
        {
            return;
        }
        int count = isReserved ? 1 : Math.Min(sequence.Outstanding, _left.Tokens);
        int logitsFrom = count;
        if (sequence.IsScoring)
        {
            count = _left.TakeScoring(sequence, count, out logitsFrom);
        }
        else if (sequence.ComputedCount + count == sequence.KnownCount)
        {
            logitsFrom = count - 1;
        }
        if (count <= 0 || !TryAllocate(sequence, count, plan, now))
        {
            return;
        }
        if (!isReserved)
        {
            _left.Tokens -= count;
        }
        plan.Add(new StepSlice(sequence, sequence.ComputedCount, count, logitsFrom));
    }

    private bool TryAllocate(Sequence sequence, int count, StepPlan plan, long now)
    {
        while (!blocks.TryAllocate(sequence, count, plan.Copies))
        {
            Sequence? victim = _running.Lowest(sequence);
            if (victim is null || !(victim.IsPaused || sequence.Outranks(victim)))
            {
                return false;
            }
            Preempt(victim, plan, now);
        }
        return true;
    }

    /// <summary>Moves the head of the queue to the running sequences, if it fits with all its known tokens.</summary>
    private bool TryAdmit(Sequence sequence, int level, StepPlan plan, long now)
    {
        if (sequence == _blockedHead && blocks.FreeBlocks <= _blockedFree && !plan.IsEmpty)
        {
            return false;
        }
        sequence.Reserve(blocks.BlockSize, _buffers);
        blocks.AttachPrefix(sequence);
        if (!TryMakeRoom(sequence, level, plan, now))
        {
            blocks.Free(sequence);
            _blockedHead = sequence;
            _blockedFree = blocks.FreeBlocks;
            return false;
        }
        _blockedHead = null;
        _waiting.Remove(sequence, now, served: true);
        CountHit(sequence, fetched: blocks.FetchPrefix(sequence, plan.Copies));
        sequence.Account!.ChargePrompt(sequence, sequence.ComputedCount);
        sequence.Level = level;
        _running.Insert(sequence);
        return true;
    }

    /// <summary>Preempts paused sequences and lower levels until the sequence fits; not at all if that would not be enough.</summary>
    private bool TryMakeRoom(Sequence sequence, int level, StepPlan plan, long now)
    {
        int needed = blocks.BlocksFor(sequence.KnownCount) - sequence.BlockCount;
        int displaceable = _running.CountBelow(level, out int reclaimable);
        int reserve = _running.Count == displaceable ? 0 : blocks.Reserve;
        if (_running.Count - displaceable == options.MaxSequences || blocks.FreeBlocks + reclaimable < needed + reserve)
        {
            return false;
        }
        while (_running.IsFull || blocks.FreeBlocks < needed + reserve)
        {
            Sequence? victim = _running.Lowest(sequence);
            if (victim is null || !(victim.IsPaused || victim.Level < level))
            {
                return false;
            }
            Preempt(victim, plan, now);
        }
        return true;
    }

    private void Preempt(Sequence victim, StepPlan plan, long now)
    {
        plan.Remove(victim);
        RemoveRunning(victim);
        victim.Preemptions++;
        counters.Preemptions++;
        Enqueue(victim, now);
    }

    private void Enqueue(Sequence sequence, long now)
    {
        if (sequence.IsPaused)
        {
            sequence.Status = SequenceStatus.Parked;
            return;
        }
        sequence.Status = SequenceStatus.Waiting;
        _waiting.Add(sequence, now);
    }

    /// <param name="fetched">Tokens of the hit that come from host memory.</param>
    private void CountHit(Sequence sequence, int fetched)
    {
        if (sequence.Preemptions == 0)
        {
            counters.PrefixQueriedTokens += sequence.KnownCount;
            counters.PrefixHitTokens += sequence.ComputedCount;
            counters.PrefixHostHitTokens += fetched;
            sequence.PrefixHit = sequence.ComputedCount;
        }
    }

    private void RemoveRunning(Sequence sequence)
    {
        _running.Remove(sequence);
        blocks.Free(sequence);
    }
}
