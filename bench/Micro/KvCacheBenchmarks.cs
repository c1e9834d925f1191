using BenchmarkDotNet.Attributes;
using LlamaServe.Engine.KvCache;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Kernels;

namespace LlamaServe.Bench.Micro;

/// <summary>The KV cache's accounting for a prompt of 2048 tokens, in 128 blocks.</summary>
public class KvCacheBenchmarks : CalibratedBenchmarks
{
    private const int Tokens = 2048;
    private const int BlockSize = 16;
    private const int Blocks = Tokens / BlockSize;

    private readonly BlockHasher _hasher = new(new byte[16]);
    private readonly List<BlockCopy> _copies = [];
    private readonly int[] _prompt = [.. Enumerable.Range(0, Tokens)];
    private KvCacheManager _empty = null!;
    private KvCacheManager _filled = null!;
    private Sequence _sequence = null!;
    private Sequence _sharer = null!;

    /// <summary>One pool without cached blocks, and one that has the prompt's.</summary>
    [GlobalSetup]
    public void Fill()
    {
        _empty = new KvCacheManager(2 * Blocks, BlockSize, prefixCaching: true, _hasher);
        _filled = new KvCacheManager(2 * Blocks, BlockSize, prefixCaching: true, _hasher);
        _sequence = new Sequence(new SequenceSpec(_prompt, Tokens + 1));
        Sequence first = new(new SequenceSpec(_prompt, Tokens + 1));
        _filled.TryAllocate(first, Tokens, _copies);
        first.ComputedCount = Tokens;
        _filled.Commit(first, Tokens);
        _filled.Free(first);
        _sharer = new Sequence(new SequenceSpec(_prompt, Tokens + 1));
    }

    /// <summary>Gives a sequence all its blocks and takes them away.</summary>
    [Benchmark]
    public bool AllocateAndFree()
    {
        bool fits = _empty.TryAllocate(_sequence, Tokens, _copies);
        _empty.Free(_sequence);
        return fits;
    }

    /// <summary>Hashes of all its blocks.</summary>
    [Benchmark]
    public ulong HashChain()
    {
        BlockHash hash = default;
        for (int start = 0; start < Tokens; start += BlockSize)
        {
            hash = _hasher.Next(hash, _prompt.AsSpan(start, BlockSize));
        }

        return hash.Low;
    }

    /// <summary>Finds a prompt's blocks, whose hashes are known, in the prefix cache and shares them; then frees them.</summary>
    /// <returns>Tokens that were found: all blocks but the last, whose logits are wanted.</returns>
    [Benchmark]
    public int AttachPrefix()
    {
        int found = _filled.AttachPrefix(_sharer);
        _filled.Free(_sharer);
        return found;
    }
}
