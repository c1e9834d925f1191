using System.Numerics;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Kernels;

namespace LlamaServe.Engine.KvCache;

// Path 6/9: blocks for tokens, or false when they do not fit.

/// <summary>
/// Gives sequences their blocks and shares equal prefixes. Pure accounting: it never touches keys or values.
/// <code>
/// positions:      0      16      32      48      64
/// sequence a:     [  3  ][  5  ][  1  ]            blocks 3 and 5 are full: hashed, immutable, shared
/// sequence b:     [  3  ][  5  ][  8  ][  2 ...    same prompt start: reference counts of 3 and 5 are 2
/// sample of b:    [  3  ][  5  ][  8  ][  2 ...    shares 8 and the partial 2; whoever writes to 2 first copies it
/// free, cached:   [  7  ][  4  ]                   content still findable by hash until the block is reused
/// host tier:      ( 11  )( 12  )                   then here, and in a block again once it is asked for
/// </code>
/// A block is written only while a single sequence holds it and no hash leads to it.
/// </summary>
internal sealed partial class KvCacheManager
{
    private readonly BlockPool _pool;
    private readonly PrefixCache? _cache;
    private readonly HostTier? _host;
    private readonly BlockHasher _hasher;
    private readonly int _shift;

    /// <param name="blockSize">Tokens of a block: a power of two.</param>
    /// <param name="host">Where cached content goes when its block is reused; null: nowhere.</param>
    public KvCacheManager(int blocks, int blockSize, bool prefixCaching, BlockHasher hasher, HostTier? host = null)
    {
        if (!BitOperations.IsPow2(blockSize))
        {
            throw new ArgumentException($"a block size of {blockSize} is not a power of two", nameof(blockSize));
        }
        BlockSize = blockSize;
        _shift = BitOperations.Log2((uint)blockSize);
        _pool = new BlockPool(blocks);
        _cache = prefixCaching ? new PrefixCache(blocks) : null;
        _host = prefixCaching ? host : null;
        _hasher = hasher;
    }

    /// <summary>Tokens of a block.</summary>
    public int BlockSize { get; }

    public int BlockCount => _pool.Count;

    public int FreeBlocks => _pool.FreeCount;

    /// <summary>What is behind the prefix cache; null for nothing.</summary>
    public HostTier? Host => _host;

    public int UsedBlocks => _pool.Count - _pool.FreeCount;

    /// <summary>Free blocks that should be left to those who run when another one starts, so that they need not preempt at once.</summary>
    public int Reserve => Math.Max(1, _pool.Count / 100);

    /// <summary>Blocks that hold <paramref name="tokens"/> tokens.</summary>
    public int BlocksFor(int tokens) => (tokens + BlockSize - 1) >> _shift;

    /// <summary>Makes room for the next <paramref name="tokens"/> tokens and makes the blocks they go to writable.</summary>
    /// <param name="copies">Receives the copies that must be made before the step writes.</param>
    /// <returns>false, and nothing is changed, when too few blocks are free.</returns>
    public bool TryAllocate(Sequence sequence, int tokens, List<BlockCopy> copies)
    {
        int end = BlocksFor(sequence.ComputedCount + tokens);
        int first = sequence.ComputedCount >> _shift;
        ReadOnlySpan<int> table = sequence.BlockTable;
        int shared = 0;
        for (int i = first; i < table.Length; i++)
        {
            shared += _pool.References(table[i]) > 1 ? 1 : 0;
        }
        if (shared + Math.Max(0, end - table.Length) > _pool.FreeCount)
        {
            return false;
        }
        for (int i = first; i < sequence.BlockCount; i++)
        {
            MakeWritable(sequence, i, copies);
        }
        while (sequence.BlockCount < end)
        {
            sequence.AppendBlock(Take());
        }
        return true;
    }

    /// <summary>
    /// Lets a new sample share the blocks of its computed prompt. Its last prompt token stays to be computed, so that it gets
    /// logits of its own; the block that this writes to is copied by then.
    /// </summary>
    public void Fork(Sequence parent, Sequence child)
    {
        int blocks = BlocksFor(child.PromptLength);
        for (int i = 0; i < blocks; i++)
        {
            _pool.Share(parent.BlockTable[i]);
            child.AppendBlock(parent.BlockTable[i]);
        }
        child.ComputedCount = child.PromptLength - 1;
        child.OfferedBlocks = child.ComputedCount >> _shift;
    }

    /// <summary>Takes a sequence's blocks away, last first: a later block is of no use without the earlier ones.</summary>
    public void Free(Sequence sequence)
    {
        for (int i = sequence.BlockCount - 1; i >= 0; i--)
        {
            Release(sequence.BlockTable[i]);
        }
        sequence.ClearBlocks();
    }

    /// <exception cref="InvalidOperationException">The pool disagrees with the block tables or with the prefix cache.</exception>
    public void CheckIntegrity(IEnumerable<Sequence> holders)
    {
        int[] references = new int[_pool.Count];
        foreach (Sequence holder in holders)
        {
            foreach (int block in holder.BlockTable)
            {
                references[block]++;
            }
            if (holder.ComputedCount > holder.BlockCount * BlockSize)
            {
                throw new InvalidOperationException($"{holder.ComputedCount} computed tokens in {holder.BlockCount} blocks of {BlockSize}");
            }
        }
        _pool.CheckIntegrity(references);
        _cache?.CheckIntegrity();
        _host?.CheckIntegrity();
    }

    private void MakeWritable(Sequence sequence, int index, List<BlockCopy> copies)
    {
        int block = sequence.BlockTable[index];
        if (_pool.References(block) == 1)
        {
            _cache?.Remove(block);
            return;
        }
        int copy = Take();
        copies.Add(new BlockCopy(block, copy));
        sequence.ReplaceBlock(index, copy);
        Release(block);
    }

    private int Take()
    {
        int block = _pool.Take();
        if (_cache is not null && _cache.IsCached(block))
        {
            _host?.Keep(block, _cache.Content(block));
            _cache.Remove(block);
        }
        return block;
    }

    private void Release(int block) => _pool.Release(block, keep: _cache is not null && _cache.IsCached(block));
}
