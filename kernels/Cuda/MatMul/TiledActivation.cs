using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Activations as tiled_matmul.cuh takes them.</summary>
/// <param name="Values">[chunk][<see cref="TiledFormat.PaddedTokens"/>][128 bytes], or BF16 rows.</param>
/// <param name="Scales">F32 [Tokens], or 0.</param>
/// <param name="RowStride">Elements between rows, or 0 where they are tiled.</param>
internal readonly record struct TiledActivation(DevicePtr Values, DevicePtr Scales, int Tokens, int RowStride = 0)
{
    /// <param name="x">BF16; row stride a multiple of 8, address of 16 bytes.</param>
    public static TiledActivation OfRows(Tensor x) => new(new DevicePtr((ulong)x.Address), default, x.Rows, x.RowStride);

    public TiledRowsArgument Argument => new(Values, Scales, TiledFormat.PaddedTokens(Tokens), 0);
}

/// <summary>quantize.cuh's TiledRows.</summary>
internal readonly record struct TiledRowsArgument(DevicePtr Values, DevicePtr Scales, int PaddedTokens, int Padding);
