using LlamaServe.Kernels;

namespace LlamaServe.Engine.Scheduling;

/// <summary>What one sequence computes in a step.</summary>
/// <param name="Start">Position of the first token.</param>
/// <param name="Count">Tokens, at least 1.</param>
/// <param name="LogitsFrom">Index of the first of them whose logits are wanted; <paramref name="Count"/> for none.</param>
internal readonly record struct StepSlice(Sequence Sequence, int Start, int Count, int LogitsFrom)
{
    public int LogitsCount => Count - LogitsFrom;

    private readonly int _preemptions = Sequence.Preemptions;

    /// <summary>Whether the step brings the sequence's next token.</summary>
    public bool Samples { get; } = Start + Count == Sequence.KnownCount;

    /// <summary>Whether the sequence still has the blocks that the step writes to: it neither ended since, nor was it preempted.</summary>
    public bool HasBlocks => Sequence.Status == SequenceStatus.Running && Sequence.Preemptions == _preemptions;
}

/// <summary>The work of one step, refilled each time.</summary>
internal sealed class StepPlan(int maxSequences)
{
    private readonly StepSlice[] _slices = new StepSlice[maxSequences];

    /// <summary>When the step began, in the clock of its maker.</summary>
    public long Started { get; set; }

    /// <summary>Sequences that take part.</summary>
    public int Count { get; private set; }

    public bool IsEmpty => Count == 0;

    public int TokenCount { get; private set; }

    /// <summary>Tokens of sequences that had more than one to compute.</summary>
    public int PrefillTokens { get; private set; }

    /// <summary>Context lengths summed over all tokens: what attention has to read.</summary>
    public double AttendedTokens { get; private set; }

    public ReadOnlySpan<StepSlice> Slices => _slices.AsSpan(0, Count);

    /// <summary>
    /// Block copies to be made before anything is computed, in order. Other than the rest they are those of all plans, and so are the
    /// swaps: block tables count on them, so where a step never runs they are left for whatever runs next.
    /// </summary>
    public List<BlockCopy> Copies { get; set; } = [];

    /// <summary>Swaps with host memory to be made before the copies, in order; null for none.</summary>
    public List<BlockSwap>? Swaps { get; set; }

    public void Clear()
    {
        Array.Clear(_slices, 0, Count);
        Count = 0;
        TokenCount = 0;
        PrefillTokens = 0;
        AttendedTokens = 0;
    }

    public void Add(in StepSlice slice)
    {
        _slices[Count++] = slice;
        Account(slice, +1);
    }

    /// <summary>Takes a preempted sequence out again, if it is in.</summary>
    public void Remove(Sequence sequence)
    {
        for (int i = Count - 1; i >= 0; i--)
        {
            if (_slices[i].Sequence == sequence)
            {
                Account(_slices[i], -1);
                _slices.AsSpan(i + 1, Count - i - 1).CopyTo(_slices.AsSpan(i));
                _slices[--Count] = default;
                return;
            }
        }
    }

    /// <summary>Takes out sequences that ended or lost their blocks since the plan was made.</summary>
    public void RemoveGone()
    {
        for (int i = Count - 1; i >= 0; i--)
        {
            if (!_slices[i].HasBlocks)
            {
                Remove(_slices[i].Sequence);
            }
        }
    }

    /// <summary>Two plans that together do what this one does.</summary>
    public StepPlan[] Halves()
    {
        StepPlan[] halves = [Half(), Half()];
        for (int i = 0; i < Count; i++)
        {
            halves[i < Count / 2 ? 0 : 1].Add(_slices[i]);
        }
        return halves;

        StepPlan Half() => new(Count) { Started = Started, Copies = Copies, Swaps = Swaps };
    }

    private void Account(in StepSlice slice, int sign)
    {
        TokenCount += sign * slice.Count;
        PrefillTokens += slice.Count > 1 || slice.Start < slice.Sequence.PromptLength ? sign * slice.Count : 0;
        AttendedTokens += sign * (slice.Count * (slice.Start + 0.5 * (slice.Count + 1)));
    }
}
