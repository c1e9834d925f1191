using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>
/// Something of the driver's that has to be destroyed, once, in its context. Keeps the context until then. Errors while
/// destroying are dropped: after a sticky error everything fails, and the error has been thrown already.
/// </summary>
internal abstract class CudaObject(CudaContext context) : SafeHandle(0, ownsHandle: true)
{
    public sealed override bool IsInvalid => handle == 0;

    public CudaContext Context => context;

    /// <summary>The driver's handle, or address, while it is not disposed.</summary>
    public nint Handle
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsClosed, this);
            return handle;
        }
    }

    protected DriverApi Api => context.Api;

    /// <summary>Takes ownership of what the driver returned.</summary>
    protected void Own(nint created)
    {
        bool added = false;
        context.DangerousAddRef(ref added);
        SetHandle(created);
    }

    /// <summary>Destroys <see cref="SafeHandle.handle"/>; the context is current.</summary>
    protected abstract CUResult Destroy();

    protected sealed override bool ReleaseHandle()
    {
        bool destroyed = context.TrySetCurrent() && Destroy() == CUResult.Success;
        context.DangerousRelease();
        return destroyed;
    }
}
