namespace LlamaServe.Kernels.Cuda;

/// <summary>Neighbouring rows of a matrix that one family of kernels multiplies.</summary>
/// <param name="FirstRow">Rows of the matrix before these.</param>
/// <param name="Linear">For <see cref="CudaMatMul"/>, or null.</param>
/// <param name="Tiled">For <see cref="TiledMatMul"/>, or null.</param>
internal readonly record struct StackedRows(int FirstRow, CudaLinear? Linear, TiledMatrix? Tiled)
{
    public int Count => Linear?.Rows ?? Tiled!.Rows;

    public long ByteLength => Linear?.ByteLength ?? Tiled!.ByteLength;
}

/// <summary>A matrix of parts whose formats may differ, stacked by rows. The device memory belongs to the pool that it came from.</summary>
internal sealed class StackedLinear(StackedRows[] parts, int columns) : Weight(parts.Sum(part => part.Count), columns)
{
    public ReadOnlySpan<StackedRows> Parts => parts;

    public override long ByteLength => parts.Sum(part => part.ByteLength);

    public override void Dispose()
    {
    }
}
