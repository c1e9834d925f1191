using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Rows of a matrix in device memory, as tiled_matmul.cuh takes them.</summary>
/// <param name="Weights">[<see cref="TiledFormat.Blocks"/>][chunk] blocks of <see cref="TiledFormat.BlockBytes"/>.</param>
/// <param name="Scales">F32 [Rows].</param>
/// <param name="Splits">
/// Runs of chunks that are summed apart, at most as many as there are chunks. Part of what a product's bits depend on, so it never
/// changes with the number of tokens.
/// </param>
internal sealed record TiledMatrix(TiledFormat Format, DevicePtr Weights, DevicePtr Scales, int Rows, int Columns, int Splits)
{
    public int Blocks => TiledFormat.Blocks(Rows);

    public int Chunks => Format.Chunks(Columns);

    public long ByteLength => (long)Blocks * Chunks * TiledFormat.BlockBytes + sizeof(float) * (long)Rows;
}
