using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// Paged keys and values, each [layer][block], of which a block is [KV head][token of the block][HeadDim] and, for elements of 8
/// bits, the F32 scales [KV head][token of the block] behind them, so that whoever moves a block moves both.
/// </summary>
internal sealed class CudaKvCache : KvCache
{
    private readonly DevicePtr _memory;

    public CudaKvCache(CudaRuntime runtime, KvCacheShape shape)
        : base(shape) => _memory = runtime.Memory.Take(shape.ByteLength);

    /// <summary>Bytes of one layer's keys, or of its values.</summary>
    public long RegionBytes => (long)BlockBytes * Shape.Blocks;

    /// <summary>Bytes of one block of a region.</summary>
    public int BlockBytes => checked((int)(Shape.BytesPerBlock / Regions));

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
