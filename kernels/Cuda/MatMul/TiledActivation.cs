using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Activations as tiled_matmul.cuh takes them.</summary>
/// <param name="Values">[chunk][<see cref="TiledFormat.PaddedTokens"/>][128 bytes].</param>
/// <param name="Scales">F32 [Tokens].</param>
internal readonly record struct TiledActivation(DevicePtr Values, DevicePtr Scales, int Tokens)
{
    public TiledRowsArgument Argument => new(Values, Scales, TiledFormat.PaddedTokens(Tokens), 0);
}

/// <summary>quantize.cuh's TiledRows.</summary>
internal readonly record struct TiledRowsArgument(DevicePtr Values, DevicePtr Scales, int PaddedTokens, int Padding);
