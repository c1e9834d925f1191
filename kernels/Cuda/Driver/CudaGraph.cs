namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>Captured work; a recipe that <see cref="CudaGraphExec"/> makes runnable.</summary>
internal sealed unsafe class CudaGraph : CudaObject
{
    internal CudaGraph(CudaContext context, nint graph)
        : base(context) => Own(graph);

    protected override CUResult Destroy() => Api.GraphDestroy(handle);
}

/// <summary>Captured work, ready to be launched as often as wanted; independent of the graph that it was made from.</summary>
internal sealed unsafe class CudaGraphExec : CudaObject
{
    public CudaGraphExec(CudaGraph graph)
        : base(graph.Context)
    {
        nint executable;
        Api.Check(Api.GraphInstantiateWithFlags(&executable, graph.Handle, 0));
        Own(executable);
    }

    /// <summary>Queues all of the work, with the addresses and arguments of the time of its capture.</summary>
    public void Launch(CudaStream stream) => Api.Check(Api.GraphLaunch(Handle, stream.Handle));

    protected override CUResult Destroy() => Api.GraphExecDestroy(handle);
}
