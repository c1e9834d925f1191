namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>Host memory that the device reads and writes directly, so that copies with it run beside the host. Content undefined.</summary>
internal sealed unsafe class CudaPageLockedHostMemory : CudaObject
{
    public CudaPageLockedHostMemory(CudaContext context, long byteLength)
        : base(context)
    {
        ByteLength = byteLength;
        void* address;
        Api.Check(Api.MemHostAlloc(&address, checked((nuint)byteLength), 0));
        Own((nint)address);
    }

    public long ByteLength { get; }

    /// <summary>All of it.</summary>
    /// <exception cref="OverflowException">It is longer than a span can be.</exception>
    public Span<byte> Span => new((void*)Handle, checked((int)ByteLength));

    /// <summary>For kernels: under unified addressing the host's address is the device's too, and needs no flag.</summary>
    public DevicePtr Pointer => new((ulong)Handle);

    protected override CUResult Destroy() => Api.MemFreeHost((void*)handle);
}
