using System.Numerics;
using LlamaServe.Engine.KvCache;

namespace LlamaServe.Engine.Scheduling;

/// <summary>
/// What sequences that have ended leave to those that come. New arrays for each request would live just long enough to survive
/// young collections, whose pauses grow with what survives. Tokens and block tables are kept apart. One thread at a time.
/// </summary>
/// <param name="most">Arrays kept of each length.</param>
internal sealed class SequenceBuffers(int most)
{
    public BufferPool<int> Tokens { get; } = new(most);

    public BufferPool<int> BlockTables { get; } = new(most);

    public BufferPool<BlockHash> Hashes { get; } = new(most);
}

/// <summary>Free arrays by length. Longer ones than <see cref="Longest"/> are left to the collector.</summary>
/// <param name="most">Arrays kept of each length.</param>
internal sealed class BufferPool<T>(int most)
{
    private const int Shortest = 16;
    private const int Longest = 16384;

    private readonly Stack<T[]>[] _free = [.. Enumerable.Range(0, BitOperations.Log2(Longest) + 1).Select(_ => new Stack<T[]>())];

    /// <summary>An array of at least this length, with whatever is in it.</summary>
    public T[] Rent(int length)
    {
        int size = Math.Max(Shortest, length);
        if (size > Longest)
        {
            return new T[length];
        }
        size = (int)BitOperations.RoundUpToPowerOf2((uint)size);
        return _free[BitOperations.Log2((uint)size)].TryPop(out T[]? buffer) ? buffer : new T[size];
    }

    /// <summary>Takes an array that nobody uses any more, wherever it is from; one of another length than this gives out is dropped.</summary>
    public void Return(T[] buffer)
    {
        if (buffer.Length is < Shortest or > Longest || !BitOperations.IsPow2(buffer.Length))
        {
            return;
        }
        Stack<T[]> free = _free[BitOperations.Log2((uint)buffer.Length)];
        if (free.Count < most)
        {
            free.Push(buffer);
        }
    }
}
