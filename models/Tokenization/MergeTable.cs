using System.Numerics;

namespace LlamaServe.Models.Tokenization;

/// <summary>
/// The merges of byte-pair encoding: a pair of ids to the id of both together and the rank, lower ones merging first.
/// A hash table with linear probing; it is looked up about three times for every byte of uncached text.
/// </summary>
internal sealed class MergeTable
{
    private const ulong Absent = ulong.MaxValue;
    private const ulong Golden = 0x9E3779B97F4A7C15;

    private readonly ulong[] _keys;
    private readonly (int Rank, int Merged)[] _values;
    private readonly int _shift;

    /// <param name="merges">Of a pair that occurs twice, the first counts. Ids are not negative.</param>
    public MergeTable(IReadOnlyCollection<(int Left, int Right, int Rank, int Merged)> merges)
    {
        int capacity = (int)BitOperations.RoundUpToPowerOf2((uint)merges.Count * 2 + 2);
        _keys = new ulong[capacity];
        _keys.AsSpan().Fill(Absent);
        _values = new (int, int)[capacity];
        _shift = 64 - BitOperations.Log2((uint)capacity);
        foreach ((int left, int right, int rank, int merged) in merges)
        {
            int slot = Slot(left, right, out ulong key);
            if (_keys[slot] == Absent)
            {
                _keys[slot] = key;
                _values[slot] = (rank, merged);
            }
        }
    }

    /// <summary>Negative ids, which stand for unknown symbols, have no merges.</summary>
    public bool TryGet(int left, int right, out (int Rank, int Merged) merge)
    {
        merge = default;
        if ((left | right) < 0)
        {
            return false;
        }
        int slot = Slot(left, right, out ulong key);
        merge = _values[slot];
        return _keys[slot] == key;
    }

    private int Slot(int left, int right, out ulong key)
    {
        key = (ulong)(uint)left << 32 | (uint)right;
        int slot = (int)(key * Golden >> _shift);
        while (_keys[slot] != key && _keys[slot] != Absent)
        {
            slot = (slot + 1) & (_keys.Length - 1);
        }
        return slot;
    }
}
