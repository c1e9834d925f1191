using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda.Memory;

/// <summary>
/// The backend's device memory: one allocation at the start, handed out piece by piece and given back as a whole. Weights, the
/// KV blocks and workspaces live as long as the model, so no piece comes back before the others, and what does not fit is known
/// before the first request.
/// </summary>
internal sealed class DevicePool : IDisposable
{
    /// <summary>Covers the widest vector access, a TMA descriptor's base, and a sector of the second-level cache.</summary>
    public const int Alignment = 256;

    private readonly CudaDeviceVariable<byte> _memory;
    private long _used;

    /// <exception cref="CudaUnavailableException">The device has less free.</exception>
    public DevicePool(CudaContext context, long byteLength)
    {
        try
        {
            _memory = new CudaDeviceVariable<byte>(context, byteLength);
        }
        catch (CudaException exception) when (exception.Result == CUResult.OutOfMemory)
        {
            throw new CudaUnavailableException(
                $"{context.Device.Name} has too little free memory: {byteLength >> 20} MiB are needed, {context.FreeBytes() >> 20} MiB are free.",
                exception);
        }
    }

    /// <summary>Bytes that <see cref="Take"/> can still give.</summary>
    public long AvailableBytes => _memory.ByteLength - _used;

    /// <summary>The size of a pool that leaves <paramref name="reserve"/> bytes to the driver and to others.</summary>
    /// <exception cref="CudaUnavailableException">Nothing would be left.</exception>
    public static long LargestByteLength(CudaContext context, long reserve)
    {
        long free = context.FreeBytes();
        return free > reserve ? free - reserve : throw new CudaUnavailableException(
            $"{context.Device.Name} has too little free memory: {free >> 20} MiB, of which {reserve >> 20} MiB stay in reserve.");
    }

    /// <summary>Takes memory on <see cref="Alignment"/> bytes; content undefined.</summary>
    /// <exception cref="CudaUnavailableException">The pool has less left.</exception>
    public DevicePtr Take(long byteLength)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteLength);
        long bytes = checked(byteLength + Alignment - 1) / Alignment * Alignment;
        if (bytes > AvailableBytes)
        {
            throw new CudaUnavailableException(
                $"{_memory.Context.Device.Name} has too little memory: {byteLength >> 20} MiB more are needed, {AvailableBytes >> 20} MiB are left.");
        }
        DevicePtr address = _memory.Pointer + _used;
        _used += bytes;
        return address;
    }

    public void Dispose() => _memory.Dispose();
}
