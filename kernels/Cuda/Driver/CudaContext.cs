using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>
/// A device's primary context. Calls that create, copy or launch need it current on their thread: <see cref="SetCurrent"/>. What
/// was created in it keeps it alive, so the order of disposal does not matter.
/// </summary>
internal sealed unsafe class CudaContext : SafeHandle
{
    public CudaContext(DriverApi api, CudaDevice device)
        : base(0, ownsHandle: true)
    {
        Api = api;
        Device = device;
        nint context;
        api.Check(api.DevicePrimaryCtxRetain(&context, device.Handle));
        SetHandle(context);
        SetCurrent();
    }

    public override bool IsInvalid => handle == 0;

    public DriverApi Api { get; }

    public CudaDevice Device { get; }

    /// <summary>Makes this the context of the calling thread. Costs well under a microsecond.</summary>
    /// <exception cref="ObjectDisposedException">It is disposed, and so is everything that was created in it.</exception>
    public void SetCurrent()
    {
        ObjectDisposedException.ThrowIf(IsClosed, this);
        Api.Check(Api.CtxSetCurrent(handle));
    }

    /// <summary>Waits for everything on the device; throws what failed there.</summary>
    public void Synchronize() => Api.Check(Api.CtxSynchronize());

    /// <summary>Device memory that is free now, in bytes.</summary>
    public long FreeBytes()
    {
        nuint free, total;
        Api.Check(Api.MemGetInfo(&free, &total));
        return checked((long)free);
    }

    /// <summary>For destructors, which run after <see cref="SafeHandle.Dispose()"/> and on the finalizer's thread too.</summary>
    internal bool TrySetCurrent() => Api.CtxSetCurrent(handle) == CUResult.Success;

    protected override bool ReleaseHandle() => Api.DevicePrimaryCtxRelease(Device.Handle) == CUResult.Success;
}
