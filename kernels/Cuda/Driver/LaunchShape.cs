namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>Extent of a grid, in blocks, or of a block, in threads.</summary>
internal readonly record struct Dim3(int X, int Y = 1, int Z = 1)
{
    public static implicit operator Dim3(int x) => new(x);
}

/// <summary>How a kernel is spread over the device.</summary>
/// <param name="Grid">Blocks.</param>
/// <param name="Block">Threads of a block.</param>
/// <param name="SharedBytes">Dynamic shared memory of a block.</param>
/// <param name="Cluster">Neighbouring blocks in x that run together and reach each other's shared memory; sm_90 and later.</param>
/// <param name="Programmatic">
/// Whether the kernel may start before the one ahead of it in the stream ends (programmatic dependent launch, sm_90 and later);
/// it must execute griddepcontrol.wait before it touches what that one writes.
/// </param>
internal readonly record struct LaunchShape(Dim3 Grid, Dim3 Block, int SharedBytes = 0, int Cluster = 1, bool Programmatic = false);
