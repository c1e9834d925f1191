using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>matmul.cuh's MatMulArguments.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CudaMatMulArguments
{
    public DevicePtr Weights, X, Factors, Bias, Residual, Out, Partial, Tickets;
    public int XStride, ResidualStride, OutStride;
    public int Tokens, Rows, Columns, Chunks, Splits;
    public int TokenTiles, TilesAcross;
    public int OutF32, Vectors, Gated;
}

/// <summary>matmul.cuh's ExpertRows.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CudaExpertRows
{
    public DevicePtr Tiles, XRows;
}
