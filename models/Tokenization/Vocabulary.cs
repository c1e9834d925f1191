using System.Collections;
using System.Runtime.InteropServices;
using System.Text;

namespace LlamaServe.Models.Tokenization;

/// <summary>
/// The tokens by id: what each is called, which bytes it stands for, and whether it is special. Ids may have gaps;
/// an id in a gap, or beyond the end, stands for no bytes, because models pad their embedding tables.
/// </summary>
internal sealed class Vocabulary
{
    /// <summary>More ids than any vocabulary has; bounds what a lying file can make us allocate.</summary>
    public const int MaxSize = 1 << 22;

    private readonly Dictionary<string, int> _idOf;
    private readonly int[] _begin;
    private readonly byte[] _bytes;
    private readonly BitArray _special;

    private Vocabulary(Dictionary<string, int> idOf, int[] begin, byte[] bytes, BitArray special, int ordinarySize)
    {
        (_idOf, _begin, _bytes, _special) = (idOf, begin, bytes, special);
        OrdinarySize = ordinarySize;
    }

    /// <summary>One more than the largest id.</summary>
    public int Size => _begin.Length - 1;

    /// <summary>One more than the largest id that text without special and added tokens may become.</summary>
    public int OrdinarySize { get; }

    /// <summary>The texts of all tokens as the files spell them.</summary>
    public IReadOnlyCollection<string> Texts => _idOf.Keys;

    public ReadOnlySpan<byte> Bytes(int id)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(id);
        return id < Size ? _bytes.AsSpan(_begin[id].._begin[id + 1]) : default;
    }

    public bool IsSpecial(int id) => (uint)id < (uint)_special.Length && _special[id];

    /// <returns>The id, or −1.</returns>
    public int Find(string text) => _idOf.GetValueOrDefault(text, -1);

    /// <returns>The id of a token that ordinary text may become, or −1.</returns>
    public int FindOrdinary(ReadOnlySpan<char> text) =>
        _idOf.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(text, out int id) && !_special[id] ? id : -1;

    internal sealed class Builder
    {
        private readonly Dictionary<string, int> _idOf = [];
        private readonly List<(byte[]? Bytes, bool Special, bool Ordinary)> _tokens = [];

        /// <summary>Adds a token that text becomes by merging, or a special one; replaces the one that has the id.</summary>
        /// <param name="id">From 0 to <see cref="MaxSize"/> − 1.</param>
        public void Add(int id, string text, byte[] bytes, bool special) => Add(id, text, bytes, special, ordinary: !special);

        /// <summary>Adds a token that is found in the text as a whole, or replaces the one that has the id.</summary>
        public void Add(AddedToken token) =>
            Add(token.Id, token.Content, Encoding.UTF8.GetBytes(token.Content), token.Special, ordinary: false);

        private void Add(int id, string text, byte[] bytes, bool special, bool ordinary)
        {
            if (id >= _tokens.Count)
            {
                CollectionsMarshal.SetCount(_tokens, id + 1);
            }
            _idOf.TryAdd(text, id);
            _tokens[id] = (bytes, special, ordinary);
        }

        public Vocabulary Build()
        {
            int[] begin = new int[_tokens.Count + 1];
            byte[] bytes = new byte[_tokens.Sum(token => token.Bytes?.Length ?? 0)];
            BitArray special = new(_tokens.Count);
            for (int id = 0; id < _tokens.Count; id++)
            {
                _tokens[id].Bytes?.CopyTo(bytes, begin[id]);
                begin[id + 1] = begin[id] + (_tokens[id].Bytes?.Length ?? 0);
                special[id] = _tokens[id].Special;
            }
            return new Vocabulary(_idOf, begin, bytes, special, _tokens.FindLastIndex(token => token.Ordinary) + 1);
        }
    }
}
