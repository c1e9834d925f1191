using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Rows of one layout in device memory.</summary>
/// <param name="Weights">Blocks of <see cref="MatMulLayout.BlockRows"/> rows.</param>
/// <param name="Splits">
/// Runs of chunks that are summed apart, at most as many as there are chunks. Part of what a product's bits depend on, so it never
/// changes with the number of tokens.
/// </param>
/// <param name="Rows">Of a product's result.</param>
/// <param name="Factors">F32 [Experts][Blocks · 128], which sums are multiplied by, or 0.</param>
/// <param name="IsGated">Holds gates and ups in turns, whose product is silu(gate) · up.</param>
/// <param name="Experts">Matrices of this shape, one after the other.</param>
internal sealed record CudaMatrix(
    MatMulLayout Layout, DevicePtr Weights, int Rows, int Columns, int Splits, DevicePtr Factors = default, bool IsGated = false, int Experts = 1)
{
    public int Blocks => MatMulLayout.Blocks(PackedRows.PackedCount(Rows, IsGated));

    public int Chunks => Layout.Chunks(Columns);

    public long ByteLength =>
        (long)Experts * Blocks * (Layout.BlockBytes(Columns) + (Factors.Address == 0 ? 0 : sizeof(float) * MatMulLayout.BlockRows));
}

/// <summary>
/// A matrix packed for <see cref="CudaMatMul"/>: one segment for each run of parts of equal format, stacked by rows. The device
/// memory belongs to the pool that it came from.
/// </summary>
internal sealed class CudaLinear(CudaMatrix[] segments) : Weight(segments.Sum(segment => segment.Rows), segments[0].Columns)
{
    public ReadOnlySpan<CudaMatrix> Segments => segments;

    public override long ByteLength => segments.Sum(segment => segment.ByteLength);

    public override void Dispose()
    {
    }
}
