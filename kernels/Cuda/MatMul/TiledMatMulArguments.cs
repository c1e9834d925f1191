using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>tiled_matmul.cuh's TiledMatMulArguments.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct TiledMatMulArguments
{
    public DevicePtr Weights, X, RowScales, XScales, Bias, Residual, Out, Partial, Tickets;
    public int ResidualStride, OutStride;
    public int XStride, Columns;
    public int Tokens, PaddedTokens, Rows, Chunks, Splits;
    public int Apart;
    public int RowTiles, TokenTiles, TilesAcross;
    public int OutF32, Vectors;
    public int Gated;
}
