using LlamaServe.Engine.Scheduling;
using LlamaServe.Kernels;

namespace LlamaServe.Engine.Tests.Support;

/// <summary>
/// A KV cache whose "keys and values" are the token ids themselves, so that a wrong block, a missing copy or a block that is
/// written while shared shows up as a wrong token.
/// </summary>
internal sealed class PagedMemory
{
    private readonly int[] _slots;
    private readonly int[] _hostSlots;
    private readonly int _blockSize;

    public PagedMemory(int blocks, int blockSize, int hostBlocks = 0)
    {
        _blockSize = blockSize;
        _slots = new int[blocks * blockSize];
        _hostSlots = new int[hostBlocks * blockSize];
        Array.Fill(_slots, -1);
        Array.Fill(_hostSlots, -1);
    }

    /// <summary>Makes the plan's swaps and copies and stores its tokens.</summary>
    /// <param name="pending">What the step before chose, for tokens that are pending.</param>
    public void Store(StepPlan plan, ReadOnlySpan<int> pending)
    {
        foreach (BlockSwap swap in plan.Swaps ?? [])
        {
            Span<int> block = _slots.AsSpan(swap.Block * _blockSize, _blockSize);
            Span<int> hostBlock = _hostSlots.AsSpan(swap.HostBlock * _blockSize, _blockSize);
            (swap.ToHost ? block : hostBlock).CopyTo(swap.ToHost ? hostBlock : block);
        }
        plan.Swaps?.Clear();
        foreach (BlockCopy copy in plan.Copies)
        {
            _slots.AsSpan(copy.Source * _blockSize, _blockSize).CopyTo(_slots.AsSpan(copy.Destination * _blockSize));
        }
        plan.Copies.Clear();
        foreach (StepSlice slice in plan.Slices)
        {
            for (int position = slice.Start; position < slice.Start + slice.Count; position++)
            {
                int token = slice.Sequence.Tokens[position];
                _slots[Slot(slice.Sequence, position)] = token >= 0 ? token : Math.Max(0, pending[~token]);
            }
        }
    }

    /// <summary>FNV-1a of what a token at <paramref name="position"/> would attend to.</summary>
    public uint Attend(Sequence sequence, int position)
    {
        uint hash = 2166136261;
        for (int i = 0; i <= position; i++)
        {
            hash = (hash ^ (uint)_slots[Slot(sequence, i)]) * 16777619;
        }
        return hash;
    }

    /// <summary>The same for tokens that lie in no cache.</summary>
    public static uint Attend(ReadOnlySpan<int> tokens)
    {
        uint hash = 2166136261;
        foreach (int token in tokens)
        {
            hash = (hash ^ (uint)token) * 16777619;
        }
        return hash;
    }

    private int Slot(Sequence sequence, int position) =>
        sequence.BlockTable[position / _blockSize] * _blockSize + position % _blockSize;
}
