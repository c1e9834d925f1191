namespace LlamaServe.Kernels;

/// <summary>Element type of an activation or of the KV cache.</summary>
public enum DType
{
    F32,
    BF16,
}

public static class DTypes
{
    /// <summary>Bytes of one element.</summary>
    public static int Size(this DType type) => type switch
    {
        DType.F32 => 4,
        DType.BF16 => 2,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "unknown element type"),
    };
}
