using System.Runtime.CompilerServices;

namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>Device memory with an owner: <see cref="Length"/> elements, content undefined.</summary>
internal sealed unsafe class CudaDeviceVariable<T> : CudaObject
    where T : unmanaged
{
    private readonly CudaStream? _stream;

    public CudaDeviceVariable(CudaContext context, long length)
        : base(context)
    {
        Length = length;
        DevicePtr address;
        Api.Check(Api.MemAlloc(&address, checked((nuint)ByteLength)));
        Own((nint)address.Address);
    }

    /// <summary>Memory from the device's pool, in the stream's order: there for later work in it, and freed behind that work.</summary>
    public CudaDeviceVariable(CudaStream stream, long length)
        : base(stream.Context)
    {
        Length = length;
        _stream = stream;
        DevicePtr address;
        Api.Check(Api.MemAllocAsync(&address, checked((nuint)ByteLength), stream.Handle));
        Own((nint)address.Address);
        bool added = false;
        stream.DangerousAddRef(ref added);
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

    protected override CUResult Destroy()
    {
        DevicePtr address = new((ulong)handle);
        if (_stream is null)
        {
            return Api.MemFree(address);
        }
        CUResult result = Api.MemFreeAsync(address, _stream.DangerousGetHandle());
        _stream.DangerousRelease();
        return result;
    }
}
