using LlamaServe.Kernels;
using LlamaServe.Models;

namespace LlamaServe.Engine.Execution;

/// <summary>How many KV blocks there are.</summary>
internal static class KvCacheSizing
{
    /// <summary>Bounds what the accounting takes, some 60 bytes a block.</summary>
    private const int MostHostBlocks = 1 << 26;

    /// <summary>
    /// The blocks that the configured bytes hold, else those of the backend's default; never more than all running sequences and
    /// as many tokens of cached prefixes could fill.
    /// </summary>
    /// <param name="context">Most tokens of a sequence.</param>
    /// <exception cref="ArgumentException">Not even one block fits.</exception>
    public static int Blocks(CausalLm model, EngineOptions options, int context)
    {
        KvCacheShape one = model.CacheShape(1, options.BlockSize, options.KvCacheType);
        long free = model.Backend.AvailableBytes;
        long bytes = options.KvCacheBytes ?? model.Backend.DefaultCacheBytes;
        if (bytes > free || bytes < one.BytesPerBlock)
        {
            throw new ArgumentException(
                $"{nameof(EngineOptions.KvCacheBytes)} is {bytes}; a block takes {one.BytesPerBlock} and {free} bytes are free", nameof(options));
        }
        long useful = 2L * options.MaxSequences * ((context + options.BlockSize - 1) / options.BlockSize);
        long mostSlots = int.MaxValue / options.BlockSize;
        return (int)Math.Min(Math.Min(bytes / one.BytesPerBlock, useful), mostSlots);
    }

    /// <summary>The blocks in host memory that the configured bytes hold.</summary>
    /// <exception cref="ArgumentException">Not even one fits.</exception>
    public static int HostBlocks(CausalLm model, EngineOptions options)
    {
        long bytesPerBlock = model.CacheShape(1, options.BlockSize, options.KvCacheType).BytesPerBlock;
        if (options.KvHostBytes > 0 && options.KvHostBytes < bytesPerBlock)
        {
            throw new ArgumentException($"{nameof(EngineOptions.KvHostBytes)} is {options.KvHostBytes}; a block takes {bytesPerBlock}", nameof(options));
        }
        return (int)Math.Min(options.KvHostBytes / bytesPerBlock, MostHostBlocks);
    }
}
