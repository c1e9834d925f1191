using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Rows of a matrix in device memory, as tiled_matmul.cuh takes them.</summary>
/// <param name="Weights">[<see cref="TiledFormat.Blocks"/>][chunk] blocks of <see cref="TiledFormat.BlockBytes"/>.</param>
/// <param name="Scales">F32 [Blocks · 64], or 0 where the format has none.</param>
/// <param name="Rows">Of a product's result.</param>
/// <param name="Splits">
/// Runs of chunks that are summed apart, at most as many as there are chunks. Part of what a product's bits depend on, so it never
/// changes with the number of tokens.
/// </param>
/// <param name="IsGated">Holds gates and ups in turns, whose product is silu(gate) · up.</param>
internal sealed record TiledMatrix(TiledFormat Format, DevicePtr Weights, DevicePtr Scales, int Rows, int Columns, int Splits, bool IsGated)
{
    public int Blocks => TiledFormat.Blocks(PackedRows.PackedCount(Rows, IsGated));

    public int Chunks => Format.Chunks(Columns);

    public long ByteLength => (long)Blocks * Chunks * TiledFormat.BlockBytes + (Scales.Address == 0 ? 0 : (long)sizeof(float) * Blocks * TiledFormat.BlockRows);
}
