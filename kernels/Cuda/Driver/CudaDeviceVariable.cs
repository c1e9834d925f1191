using System.Runtime.CompilerServices;

namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>Device memory with an owner: <see cref="Length"/> elements, content undefined.</summary>
internal sealed unsafe class CudaDeviceVariable<T> : CudaObject
    where T : unmanaged
{
    public CudaDeviceVariable(CudaContext context, long length)
        : base(context)
    {
        Length = length;
        DevicePtr address;
        Api.Check(Api.MemAlloc(&address, checked((nuint)ByteLength)));
        Own((nint)address.Address);
    }

    public long Length { get; }

    public long ByteLength => checked(Length * Unsafe.SizeOf<T>());

    public DevicePtr Pointer => new((ulong)Handle);

    /// <summary>Copies to the start of it, and waits.</summary>
    public void CopyToDevice(ReadOnlySpan<T> source)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(source.Length, Length, nameof(source));
        fixed (T* from = source)
        {
            Api.Check(Api.MemcpyHtoD(Pointer, from, (nuint)source.Length * (nuint)sizeof(T)));
            // From pageable memory the call may return before the last bytes are there, and other streams do not wait for them.
            Api.Check(Api.CtxSynchronize());
        }
    }

    /// <summary>Copies from the start of it, and waits.</summary>
    public void CopyToHost(Span<T> destination)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(destination.Length, Length, nameof(destination));
        fixed (T* to = destination)
        {
            Api.Check(Api.MemcpyDtoH(to, Pointer, (nuint)destination.Length * (nuint)sizeof(T)));
        }
    }

    protected override CUResult Destroy() => Api.MemFree(new DevicePtr((ulong)handle));
}
