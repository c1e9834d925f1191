namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>Host memory that the device reads and writes directly, so that copies with it run beside the host.</summary>
internal sealed unsafe class CudaPageLockedHostMemory : CudaObject
{
    public CudaPageLockedHostMemory(CudaContext context, int byteLength)
        : base(context)
    {
        ByteLength = byteLength;
        void* address;
        Api.Check(Api.MemHostAlloc(&address, (nuint)byteLength, 0));
        Own((nint)address);
    }

    public int ByteLength { get; }

    public Span<byte> Span => new((void*)Handle, ByteLength);

    protected override CUResult Destroy() => Api.MemFreeHost((void*)handle);
}
