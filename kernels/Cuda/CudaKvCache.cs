using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// Paged keys and values, each [layer][block], of which a block is [KV head][token of the block][HeadDim] and, for elements of 8
/// bits, the F32 scales [KV head][token of the block] behind them, so that whoever moves a block moves both.
/// </summary>
internal sealed class CudaKvCache : KvCache
{
    private readonly CudaRuntime _runtime;
    private readonly CudaPageLockedHostMemory? _host;

    /// <exception cref="ArgumentException">The driver does not get the memory of the host part.</exception>
    public CudaKvCache(CudaRuntime runtime, KvCacheShape shape)
        : base(shape)
    {
        _runtime = runtime;
        _host = shape.HostBlocks > 0 ? LockHostMemory(runtime.Context, shape) : null;
        Memory = runtime.Memory.Take(shape.ByteLength);
    }

    /// <summary>Bytes of one layer's keys, or of its values.</summary>
    public long RegionBytes => (long)BlockBytes * Shape.Blocks;

    /// <summary>Bytes of one block of a region.</summary>
    public int BlockBytes => checked((int)(Shape.BytesPerBlock / Regions));

    /// <summary>Keys and values are regions in turn: keys of layer 0, values of layer 0, keys of layer 1, …</summary>
    public int Regions => 2 * Shape.Layers;

    public DevicePtr Memory { get; }

    /// <summary>The host part, [host block][region][<see cref="BlockBytes"/>], in page-locked memory; 0 where there is none.</summary>
    public DevicePtr Host => _host?.Pointer ?? default;

    public DevicePtr Keys(int layer) => Memory + 2 * layer * RegionBytes;

    public DevicePtr Values(int layer) => Memory + (2 * layer + 1) * RegionBytes;

    /// <summary>Frees the host part, once swaps under way are done. The device's memory belongs to the backend's pool.</summary>
    public override void Dispose()
    {
        if (_host is not null)
        {
            _runtime.Stream.Drain();
            _host.Dispose();
        }
    }

    private static CudaPageLockedHostMemory LockHostMemory(CudaContext context, KvCacheShape shape)
    {
        try
        {
            return new CudaPageLockedHostMemory(context, shape.HostByteLength);
        }
        catch (CudaException exception) when (!exception.IsLost)
        {
            throw new ArgumentException(
                $"{shape.HostByteLength >> 20} MiB of the host's memory cannot be locked for {shape.HostBlocks} host blocks of the KV cache "
                + $"({exception.Message}): lower --kv-host-gb",
                exception);
        }
    }
}
