using System.Diagnostics.CodeAnalysis;

namespace LlamaServe.Kernels;

/// <summary>Element type of an activation or of the KV cache.</summary>
[SuppressMessage("Naming", "CA1720:Identifier contains type name", Justification = "The types' own names.")]
public enum DType
{
    F32,
    BF16,

    /// <summary>e4m3 (arXiv:2209.05433); the KV cache's alone, with a scale for each token and head.</summary>
    Fp8,

    /// <summary>Integers of 8 bits; the KV cache's alone, with a scale for each token and head.</summary>
    Int8,
}

public static class DTypes
{
    /// <summary>Bytes of one element.</summary>
    public static int Size(this DType type) => type switch
    {
        DType.F32 => 4,
        DType.BF16 => 2,
        DType.Fp8 or DType.Int8 => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "unknown element type"),
    };

    /// <summary>Bytes of the scale that the KV cache keeps for each token and head, of keys and of values; 0 for types without.</summary>
    public static int ScaleSize(this DType type) => type is DType.Fp8 or DType.Int8 ? sizeof(float) : 0;
}
