namespace LlamaServe.Models.Tokenization;

/// <summary>
/// Byte-pair merging in O(n log n): a heap of the pairs that can merge, lowest rank first and leftmost among equals, over
/// a linked list of symbols. A pair that changed since it was pushed is recognised by its ids when it comes up.
/// Keeps its buffers for the next piece of text; one thread at a time.
/// </summary>
internal sealed class BpeMerger
{
    private const int None = -1;

    private readonly PriorityQueue<(int Position, int Left, int Right), ulong> _queue = new();
    private int[] _previous = [];
    private int[] _next = [];

    /// <summary>Merges in place.</summary>
    /// <returns>The number of symbols that are left, at the front of <paramref name="symbols"/>.</returns>
    public int Merge(Span<int> symbols, MergeTable merges)
    {
        if (symbols.Length < 2)
        {
            return symbols.Length;
        }
        Link(symbols, merges);
        while (_queue.TryDequeue(out (int Position, int Left, int Right) pair, out _))
        {
            int right = _next[pair.Position];
            if (right == None || symbols[pair.Position] != pair.Left || symbols[right] != pair.Right)
            {
                continue;
            }
            merges.TryGet(pair.Left, pair.Right, out (int Rank, int Merged) merge);
            symbols[pair.Position] = merge.Merged;
            int after = _next[right];
            _next[pair.Position] = after;
            _next[right] = None;
            if (after != None)
            {
                _previous[after] = pair.Position;
                Push(symbols, pair.Position, after, merges);
            }
            if (_previous[pair.Position] != None)
            {
                Push(symbols, _previous[pair.Position], pair.Position, merges);
            }
        }
        return Compact(symbols);
    }

    private void Link(Span<int> symbols, MergeTable merges)
    {
        if (_next.Length < symbols.Length)
        {
            int capacity = Math.Max(symbols.Length, 2 * _next.Length);
            _previous = new int[capacity];
            _next = new int[capacity];
        }
        for (int i = 0; i < symbols.Length; i++)
        {
            _previous[i] = i - 1;
            _next[i] = i + 1;
        }
        _next[symbols.Length - 1] = None;
        for (int i = 0; i + 1 < symbols.Length; i++)
        {
            Push(symbols, i, i + 1, merges);
        }
    }

    private void Push(Span<int> symbols, int left, int right, MergeTable merges)
    {
        if (merges.TryGet(symbols[left], symbols[right], out (int Rank, int Merged) merge))
        {
            _queue.Enqueue((left, symbols[left], symbols[right]), (ulong)(uint)merge.Rank << 32 | (uint)left);
        }
    }

    private int Compact(Span<int> symbols)
    {
        int count = 0;
        for (int i = 0; i != None; i = _next[i])
        {
            symbols[count++] = symbols[i];
        }
        return count;
    }
}
