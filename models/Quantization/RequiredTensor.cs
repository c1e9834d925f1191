using LlamaServe.Kernels;

namespace LlamaServe.Models.Quantization;

/// <summary>A tensor that a quantized matrix is made of.</summary>
/// <param name="Shapes">Those that it may have, row-major.</param>
/// <param name="Formats">Those that it may have; null is integers of 32 bits.</param>
internal sealed record RequiredTensor(string Name, long[][] Shapes, WeightFormat?[] Formats, bool IsOptional = false)
{
    /// <summary>What scales are stored as.</summary>
    public static readonly WeightFormat?[] Floats = [WeightFormat.F16, WeightFormat.BF16, WeightFormat.F32];

    /// <summary>Packed integers.</summary>
    public static readonly WeightFormat?[] Integers = [null];
}
