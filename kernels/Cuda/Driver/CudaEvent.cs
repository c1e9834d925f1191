namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>A mark in a stream: has the work before it been done, and when.</summary>
internal sealed unsafe class CudaEvent : CudaObject
{
    private const uint DisableTiming = 2;

    /// <param name="timing">Whether <see cref="ElapsedMilliseconds"/> is wanted; recording is cheaper without.</param>
    public CudaEvent(CudaContext context, bool timing = false)
        : base(context)
    {
        nint marker;
        Api.Check(Api.EventCreate(&marker, timing ? 0 : DisableTiming));
        Own(marker);
    }

    /// <summary>Whether the work before the last <see cref="Record"/> is done; true before the first.</summary>
    public bool IsCompleted => Api.IsDone(Api.EventQuery(Handle));

    public void Record(CudaStream stream) => Api.Check(Api.EventRecord(Handle, stream.Handle));

    /// <summary>Waits for the work before the last <see cref="Record"/>.</summary>
    public void Synchronize() => Api.Check(Api.EventSynchronize(Handle));

    /// <summary>Time on the device between two completed events with timing.</summary>
    public static float ElapsedMilliseconds(CudaEvent start, CudaEvent end)
    {
        float milliseconds;
        start.Api.Check(start.Api.EventElapsedTime(&milliseconds, start.Handle, end.Handle));
        return milliseconds;
    }

    protected override CUResult Destroy() => Api.EventDestroy(handle);
}
