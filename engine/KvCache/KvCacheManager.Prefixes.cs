using LlamaServe.Engine.Scheduling;
using LlamaServe.Kernels;

namespace LlamaServe.Engine.KvCache;

// What sequences find in the prefix cache and in the host tier behind it, and what they leave there.
internal sealed partial class KvCacheManager
{
    /// <summary>
    /// Starts an empty block table with the cached blocks of the longest known prefix. At least the last known token stays to
    /// be computed, because its logits are wanted, and so do prompt positions that are still to be scored.
    /// </summary>
    /// <returns>Tokens that need not be computed.</returns>
    public int AttachPrefix(Sequence sequence)
    {
        if (_cache is null)
        {
            return 0;
        }
        int reusable = ReusableBlocks(sequence);
        for (int i = 0; i < reusable; i++)
        {
            int block = _cache.Find(sequence.Hash(i, BlockSize, _hasher));
            if (block < 0)
            {
                break;
            }
            _pool.Share(block);
            sequence.AppendBlock(block);
        }
        Attached(sequence);
        return sequence.ComputedCount;
    }

    /// <summary>
    /// Goes on with the prefix that <see cref="AttachPrefix"/> began, where the host tier has it too. Blocks for all known tokens must
    /// be free. What comes back can be shared at once: whoever reads it does so in this step, after the swaps, or in a later one.
    /// </summary>
    /// <param name="copies">What the step copies after its swaps; none of those blocks is swapped into.</param>
    /// <returns>Tokens that come from host memory.</returns>
    public int FetchPrefix(Sequence sequence, List<BlockCopy> copies)
    {
        if (_host is null || _cache is null)
        {
            return 0;
        }
        int first = sequence.BlockCount;
        int reusable = ReusableBlocks(sequence);
        int end = first;
        // To make room for its beginning must not push out the rest.
        for (; end < reusable; end++)
        {
            BlockHash hash = sequence.Hash(end, BlockSize, _hasher);
            if (!_host.TryPin(hash) && _cache.Find(hash) < 0)
            {
                break;
            }
        }
        int fetched = 0;
        while (sequence.BlockCount < end && TryExtend(sequence, copies, ref fetched))
        {
        }
        for (int i = end - 1; i >= first; i--)
        {
            _host.Unpin(sequence.Hash(i, BlockSize, _hasher));
        }
        Attached(sequence);
        return fetched * BlockSize;
    }

    /// <summary>Offers the blocks that the first <paramref name="computed"/> tokens fill to the prefix cache; none of those may be pending.</summary>
    public void Commit(Sequence sequence, int computed)
    {
        if (_cache is null)
        {
            return;
        }
        for (int full = computed >> _shift; sequence.OfferedBlocks < full; sequence.OfferedBlocks++)
        {
            int index = sequence.OfferedBlocks;
            _cache.Add(sequence.BlockTable[index], sequence.Hash(index, BlockSize, _hasher));
        }
    }

    /// <summary>Full blocks of known tokens that need not be computed if their content is known.</summary>
    private int ReusableBlocks(Sequence sequence)
    {
        int tokens = sequence.KnownCount - 1;
        return (sequence.IsScoring ? Math.Min(tokens, sequence.ScoredCount) : tokens) >> _shift;
    }

    private void Attached(Sequence sequence)
    {
        sequence.OfferedBlocks = sequence.BlockCount;
        sequence.ComputedCount = sequence.BlockCount * BlockSize;
    }

    /// <summary>Appends the next block of a known prefix.</summary>
    /// <param name="fetched">Counts those that come from host memory.</param>
    private bool TryExtend(Sequence sequence, List<BlockCopy> copies, ref int fetched)
    {
        BlockHash hash = sequence.Hash(sequence.BlockCount, BlockSize, _hasher);
        int block = _cache!.Find(hash);
        if (block >= 0)
        {
            _pool.Share(block);
        }
        else if (!IsIn(copies, _pool.Next) && _host!.TryPin(hash))
        {
            block = Take();
            _host.Fetch(hash, block);
            _host.Unpin(hash);
            _cache.Add(block, hash);
            fetched++;
        }
        else
        {
            return false;
        }
        sequence.AppendBlock(block);
        return true;
    }

    /// <summary>
    /// Whether a planned copy reads or writes a block. One whose sequence was preempted since may be free, and the step's swaps come
    /// before its copies.
    /// </summary>
    private static bool IsIn(List<BlockCopy> copies, int block)
    {
        foreach (BlockCopy copy in copies)
        {
            if (copy.Source == block || copy.Destination == block)
            {
                return true;
            }
        }
        return false;
    }
}
