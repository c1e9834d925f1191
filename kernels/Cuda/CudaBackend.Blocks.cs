using LlamaServe.Kernels.Cpu;

namespace LlamaServe.Kernels.Cuda;

public sealed partial class CudaBackend
{
    public KvCache CreateKvCache(KvCacheShape shape)
    {
        Enter();
        Check.Shape(shape);
        Check.That(shape.Type != DType.F32, $"keys and values on a GPU are BF16, Fp8 or Int8, not {shape.Type}");
        Check.That(shape.BlockSize % 16 == 0, $"blocks of the KV cache on a GPU are multiples of 16 tokens, not {shape.BlockSize}");
        Check.That(Cuda.PagedAttention.Supports(shape.HeadDim), $"there are no GPU kernels for heads of {shape.HeadDim} elements");
        Check.HostMemory(shape, SystemMemory.AvailableBytes());
        return new CudaKvCache(_runtime, shape);
    }

    public void CopyBlocks(KvCache cache, ReadOnlySpan<BlockCopy> copies)
    {
        CudaKvCache own = CudaCheck.Cache(cache, 0);
        foreach (BlockCopy copy in copies)
        {
            Check.Range([copy.Source, copy.Destination], own.Shape.Blocks, "block");
        }
        _copyBlocks.Run(own, copies);
    }

    public void SwapBlocks(KvCache cache, ReadOnlySpan<BlockSwap> swaps)
    {
        CudaKvCache own = CudaCheck.Cache(cache, 0);
        Check.Swaps(own, swaps);
        _copyBlocks.Swap(own, swaps);
    }
}
