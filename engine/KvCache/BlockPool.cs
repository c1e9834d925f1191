namespace LlamaServe.Engine.KvCache;

/// <summary>
/// The physical blocks: who holds each, and in which order free ones are reused. A free block may still hold a cached
/// prefix; the list is a queue, so those are evicted least recently used first. Free blocks without such content come back
/// at the head and are reused before anything is evicted.
/// <code>
///          head: reused next                      tail: reused last
/// free:    [7] ⇄ [2] ⇄ [9] ⇄ ... ⇄ [4] ⇄ [0]            references = 0
/// held:    [1] ×1   [3] ×2 (shared prefix)   [5] ×1      references > 0, not in the list
/// </code>
/// </summary>
internal sealed class BlockPool
{
    private const int None = -1;
    private readonly int[] _references;
    private readonly int[] _previous;
    private readonly int[] _next;
    private int _head = None;
    private int _tail = None;

    public BlockPool(int blocks)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(blocks, 1);
        _references = new int[blocks];
        _previous = new int[blocks];
        _next = new int[blocks];
        for (int block = 0; block < blocks; block++)
        {
            Append(block);
        }
    }

    public int Count => _references.Length;

    public int FreeCount { get; private set; }

    /// <summary>The block that <see cref="Take"/> would give; −1 for none.</summary>
    public int Next => _head;

    /// <summary>Sequences that hold <paramref name="block"/>.</summary>
    public int References(int block) => _references[block];

    /// <summary>Takes the least recently used free block; there must be one. Its references become 1.</summary>
    public int Take()
    {
        int block = _head;
        if (block == None)
        {
            throw new InvalidOperationException("no block is free");
        }
        Unlink(block);
        _references[block] = 1;
        return block;
    }

    /// <summary>Adds a holder; a free block leaves the free list.</summary>
    public void Share(int block)
    {
        if (_references[block]++ == 0)
        {
            Unlink(block);
        }
    }

    /// <summary>Drops a holder; without any left the block becomes free.</summary>
    /// <param name="keep">Whether its content is worth keeping: it is then reused last, else next.</param>
    public void Release(int block, bool keep)
    {
        if (_references[block] <= 0)
        {
            throw new InvalidOperationException($"block {block} is released but nobody holds it");
        }
        if (--_references[block] > 0)
        {
            return;
        }
        if (keep)
        {
            Append(block);
        }
        else
        {
            Prepend(block);
        }
    }

    /// <summary>Walks the free list and compares it with the reference counts.</summary>
    /// <param name="expectedReferences">[Count] how often each block is in some block table.</param>
    /// <exception cref="InvalidOperationException">They disagree.</exception>
    public void CheckIntegrity(ReadOnlySpan<int> expectedReferences)
    {
        int free = 0;
        int previous = None;
        for (int block = _head; block != None; block = _next[block])
        {
            Require(_references[block] == 0, block, "is in the free list and held");
            Require(_previous[block] == previous, block, "has a wrong predecessor");
            Require(++free <= Count, block, "closes a cycle in the free list");
            previous = block;
        }
        Require(previous == _tail && free == FreeCount, previous, "is the last free one, but tail or count disagree");
        for (int block = 0; block < Count; block++)
        {
            Require(_references[block] == expectedReferences[block], block, $"has {_references[block]} references, tables hold it {expectedReferences[block]} times");
            free += _references[block] > 0 ? 1 : 0;
        }
        Require(free == Count, free, "of all blocks are free or held");
    }

    private static void Require(bool holds, int block, string otherwise)
    {
        if (!holds)
        {
            throw new InvalidOperationException($"block {block} {otherwise}");
        }
    }

    private void Append(int block)
    {
        Link(_tail, block);
        Link(block, None);
        FreeCount++;
    }

    private void Prepend(int block)
    {
        Link(block, _head);
        Link(None, block);
        FreeCount++;
    }

    private void Unlink(int block)
    {
        Link(_previous[block], _next[block]);
        FreeCount--;
    }

    /// <summary>Makes two blocks neighbours; None stands for the list's end on that side.</summary>
    private void Link(int left, int right)
    {
        if (left == None)
        {
            _head = right;
        }
        else
        {
            _next[left] = right;
        }
        if (right == None)
        {
            _tail = left;
        }
        else
        {
            _previous[right] = left;
        }
    }
}
