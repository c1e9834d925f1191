using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Launches of route.cu.</summary>
internal sealed class ExpertOps(CudaRuntime runtime)
{
    internal const int RouteThreads = 128, SortThreads = 256, CombineThreads = 128;

    private readonly CudaKernel _route = runtime.Kernel("route.cu", "route");
    private readonly CudaKernel _sort = runtime.Kernel("route.cu", "sort_choices");
    private readonly CudaKernel _combine = runtime.Kernel("route.cu", "combine_experts");

    /// <summary>Words of a routing and its tiles.</summary>
    public static int Words(ExpertRouting routing) =>
        ExpertRouting.ListsPerAssignment * routing.Assignments + ExpertTiles.EntryWords * ExpertTiles.Count(routing.Assignments, routing.Experts);

    /// <summary>Counts of the warps and of all experts.</summary>
    internal static int SortSharedBytes(int experts) => sizeof(int) * (SortThreads / 32 + experts);

    /// <param name="logits">F32 [Tokens, Experts].</param>
    /// <param name="routing">Has at least one token.</param>
    public void Route(Tensor logits, ExpertRouting routing, bool renormalize)
    {
        int tile = ExpertTiles.Rows(routing.Assignments, routing.Experts), tiles = ExpertTiles.Count(routing.Assignments, routing.Experts);
        _route.Launch(
            runtime.Stream, new LaunchShape((routing.Tokens + RouteThreads / 32 - 1) / (RouteThreads / 32), RouteThreads),
            Pointer(logits.Address), logits.RowStride, routing.Tokens, routing.Experts, routing.ExpertsPerToken, renormalize ? 1 : 0,
            Pointer(routing.Weights), Pointer(routing.Choices));
        _sort.Launch(
            runtime.Stream, new LaunchShape(routing.Experts, SortThreads, SortSharedBytes(routing.Experts)),
            Pointer(routing.Choices), routing.Assignments, routing.ExpertsPerToken, routing.Experts, Pointer(routing.AssignmentOfChoice),
            Pointer(routing.TokenOfAssignment), Pointer(routing.Groups), tile, tiles);
    }

    /// <param name="rows">F32 [Assignments, columns].</param>
    /// <param name="residual">F32 [Tokens, columns].</param>
    /// <param name="y">F32 [Tokens, columns].</param>
    public void Combine(Tensor rows, ExpertRouting routing, Tensor residual, Tensor y) => _combine.Launch(
        runtime.Stream, new LaunchShape(routing.Tokens, CombineThreads),
        Pointer(rows.Address), rows.RowStride, Pointer(routing.Weights), Pointer(routing.AssignmentOfChoice), routing.ExpertsPerToken,
        Pointer(residual.Address), residual.RowStride, Pointer(y.Address), y.RowStride, y.Columns);

    private static DevicePtr Pointer(nint address) => new((ulong)address);
}
