using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Paged keys and values in BF16, each [layer][block][KV head][token of the block][HeadDim].</summary>
internal sealed class CudaKvCache : KvCache
{
    private readonly DevicePtr _memory;

    public CudaKvCache(CudaRuntime runtime, KvCacheShape shape)
        : base(shape) => _memory = runtime.Memory.Take(shape.ByteLength);

    /// <summary>Bytes of one layer's keys, or of its values.</summary>
    public long RegionBytes => BlockBytes * Shape.Blocks;

    /// <summary>Bytes of one block of a region.</summary>
    public int BlockBytes => checked(Shape.BlockSize * Shape.KvHeads * Shape.HeadDim * Shape.Type.Size());

    /// <summary>Keys and values are regions in turn: keys of layer 0, values of layer 0, keys of layer 1, …</summary>
    public int Regions => 2 * Shape.Layers;

    public DevicePtr Memory => _memory;

    public DevicePtr Keys(int layer) => _memory + 2 * layer * RegionBytes;

    public DevicePtr Values(int layer) => _memory + (2 * layer + 1) * RegionBytes;

    /// <summary>The memory belongs to the backend's pool.</summary>
    public override void Dispose()
    {
    }
}
