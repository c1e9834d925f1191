using System.Numerics;
using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Launches of copy_blocks.cu: copies within a cache, and swaps with its host part. A list is one upload and one launch.</summary>
internal sealed class CopyBlocks(CudaRuntime runtime) : IDisposable
{
    internal const int Threads = 128;

    private const int SmallestLength = 64;

    private readonly CudaKernel _kernel = runtime.Kernel("copy_blocks.cu", "copy_blocks");
    private CudaDeviceVariable<BlockCopy>? _pairs;
    private BlockCopy[] _swaps = [];

    /// <summary>Whole blocks of all layers, one copy after the other.</summary>
    /// <param name="copies">~i stands for host block i.</param>
    public void Run(CudaKvCache cache, ReadOnlySpan<BlockCopy> copies)
    {
        if (copies.IsEmpty)
        {
            return;
        }
        if (_pairs is null || _pairs.Length < copies.Length)
        {
            _pairs?.Dispose();
            _pairs = null;
            _pairs = new CudaDeviceVariable<BlockCopy>(runtime.Context, Capacity(copies.Length));
        }
        runtime.Uploads.Upload(runtime.Stream, _pairs.Pointer, MemoryMarshal.AsBytes(copies));
        int vectors = cache.BlockBytes / 16;
        _kernel.Launch(
            runtime.Stream, new LaunchShape(new Dim3((vectors + Threads - 1) / Threads, cache.Regions), Threads),
            cache.Memory, cache.RegionBytes / 16, cache.Host, vectors, _pairs.Pointer, copies.Length);
    }

    /// <summary>Whole blocks of all layers from or to the host part, one swap after the other.</summary>
    public void Swap(CudaKvCache cache, ReadOnlySpan<BlockSwap> swaps)
    {
        if (_swaps.Length < swaps.Length)
        {
            _swaps = new BlockCopy[Capacity(swaps.Length)];
        }
        for (int i = 0; i < swaps.Length; i++)
        {
            BlockSwap swap = swaps[i];
            _swaps[i] = swap.ToHost ? new BlockCopy(swap.Block, ~swap.HostBlock) : new BlockCopy(~swap.HostBlock, swap.Block);
        }
        Run(cache, _swaps.AsSpan(0, swaps.Length));
    }

    public void Dispose() => _pairs?.Dispose();

    private static int Capacity(int length) => Math.Max(SmallestLength, checked((int)BitOperations.RoundUpToPowerOf2((uint)length)));
}
