namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>
/// A queue of work on the device; what is put in runs in order, after the call has returned. Host memory in asynchronous copies
/// has to stay where it is until the work is done.
/// </summary>
internal sealed unsafe class CudaStream : CudaObject
{
    private const uint NonBlocking = 1;
    private const uint ThreadLocalCapture = 1;

    public CudaStream(CudaContext context)
        : base(context)
    {
        nint stream;
        Api.Check(Api.StreamCreate(&stream, NonBlocking));
        Own(stream);
    }

    /// <summary>
    /// Whether kernels in this stream may start before the one ahead of them ends (programmatic dependent launch): each executes
    /// griddepcontrol.wait before it touches what another one writes or reads.
    /// </summary>
    public bool IsProgrammatic { get; init; }

    /// <summary>Whether all work is done.</summary>
    public bool IsCompleted => Api.IsDone(Api.StreamQuery(Handle));

    /// <summary>Waits until all work is done; throws what failed in it.</summary>
    public void Synchronize() => Api.Check(Api.StreamSynchronize(Handle));

    /// <summary>
    /// Waits for all work, as far as the device still does it: for owners of memory that the work uses, before they free it. Nothing
    /// is thrown; what failed has been thrown where it was queued or waited for.
    /// </summary>
    public void Drain()
    {
        if (!IsClosed && Context.TrySetCurrent())
        {
            _ = Api.StreamSynchronize(handle);
        }
    }

    /// <summary>Lets later work wait for what <paramref name="marker"/> recorded last.</summary>
    public void WaitEvent(CudaEvent marker) => Api.Check(Api.StreamWaitEvent(Handle, marker.Handle, 0));

    public void CopyToDevice(DevicePtr destination, void* source, long bytes) =>
        Api.Check(Api.MemcpyHtoDAsync(destination, source, (nuint)bytes, Handle));

    public void CopyToHost(void* destination, DevicePtr source, long bytes) =>
        Api.Check(Api.MemcpyDtoHAsync(destination, source, (nuint)bytes, Handle));

    public void CopyOnDevice(DevicePtr destination, DevicePtr source, long bytes) =>
        Api.Check(Api.MemcpyDtoDAsync(destination, source, (nuint)bytes, Handle));

    /// <summary>Sets <paramref name="count"/> bytes.</summary>
    public void Fill(DevicePtr destination, byte value, long count) =>
        Api.Check(Api.MemsetD8Async(destination, value, (nuint)count, Handle));

    /// <summary>Sets <paramref name="count"/> 32-bit words.</summary>
    public void Fill(DevicePtr destination, uint value, long count) =>
        Api.Check(Api.MemsetD32Async(destination, value, (nuint)count, Handle));

    /// <summary>From here on, work is recorded instead of run. Only calls of this thread are restricted meanwhile.</summary>
    public void BeginCapture() => Api.Check(Api.StreamBeginCapture(Handle, ThreadLocalCapture));

    /// <summary>The work since <see cref="BeginCapture"/>.</summary>
    /// <exception cref="CudaException">Something in it cannot be captured; the stream works again.</exception>
    public CudaGraph EndCapture()
    {
        nint graph;
        Api.Check(Api.StreamEndCapture(Handle, &graph));
        return new CudaGraph(Context, graph);
    }

    /// <summary>Ends a capture whose work is not wanted, after which the stream runs what it gets again.</summary>
    public void AbandonCapture()
    {
        nint graph = 0;
        _ = Api.StreamEndCapture(Handle, &graph);
        if (graph != 0)
        {
            _ = Api.GraphDestroy(graph);
        }
    }

    protected override CUResult Destroy() => Api.StreamDestroy(handle);
}
