using System.Buffers;
using System.Collections.Concurrent;

namespace LlamaServe.Models.Tokenization;

/// <summary>The last stage: byte-pair encoding of one piece of text. Short pieces are remembered.</summary>
internal abstract class BpeStep(MergeTable merges) : EncodingStep
{
    private const int MaxCachedLength = 32;
    private const int MaxCachedPieces = 1 << 16;
    private const int StackSymbols = 256;

    [ThreadStatic]
    private static BpeMerger? _merger;

    private ConcurrentDictionary<string, int[]> _cache = new();
    private int _cachedPieces;

    public override void Encode(ReadOnlySpan<char> text, bool atStart, bool parseSpecialTokens, List<int> ids)
    {
        if (text.Length > MaxCachedLength)
        {
            EncodeUncached(text, ids);
            return;
        }
        if (_cache.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(text, out int[]? cached))
        {
            ids.AddRange(cached);
            return;
        }
        int begin = ids.Count;
        EncodeUncached(text, ids);
        Remember(text.ToString(), [.. ids[begin..]]);
    }

    /// <summary>The most symbols that a piece of so many UTF-16 units can begin with.</summary>
    protected abstract int MaxSymbols(int chars);

    /// <summary>The ids to begin with; negative ones stand for what has no token.</summary>
    /// <returns>How many there are.</returns>
    protected abstract int Symbols(ReadOnlySpan<char> text, Span<int> symbols);

    /// <summary>Adds what stands for a symbol without a token.</summary>
    /// <param name="begin">Where the piece's ids begin.</param>
    protected abstract void AddUnknown(int symbol, int begin, List<int> ids);

    /// <summary>The token of the whole piece where that goes before merging, or −1.</summary>
    protected virtual int Whole(ReadOnlySpan<char> text) => -1;

    private void EncodeUncached(ReadOnlySpan<char> text, List<int> ids)
    {
        int whole = Whole(text);
        if (whole >= 0)
        {
            ids.Add(whole);
            return;
        }
        int begin = ids.Count;
        int max = MaxSymbols(text.Length);
        int[]? rented = max > StackSymbols ? ArrayPool<int>.Shared.Rent(max) : null;
        Span<int> symbols = rented ?? stackalloc int[StackSymbols];
        int count = (_merger ??= new BpeMerger()).Merge(symbols[..Symbols(text, symbols)], merges);
        foreach (int symbol in symbols[..count])
        {
            if (symbol >= 0)
            {
                ids.Add(symbol);
            }
            else
            {
                AddUnknown(symbol, begin, ids);
            }
        }
        if (rented is not null)
        {
            ArrayPool<int>.Shared.Return(rented);
        }
    }

    private void Remember(string text, int[] ids)
    {
        if (Interlocked.Increment(ref _cachedPieces) > MaxCachedPieces)
        {
            _cache = new ConcurrentDictionary<string, int[]>();
            Interlocked.Exchange(ref _cachedPieces, 0);
        }
        _cache.TryAdd(text, ids);
    }
}
