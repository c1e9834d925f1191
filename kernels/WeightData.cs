namespace LlamaServe.Kernels;

/// <summary>
/// A weight matrix as the checkpoint stores it: row-major [<paramref name="Rows"/>, <paramref name="Columns"/>] at
/// <paramref name="Address"/>, <c>Format.Bytes(Rows · Columns)</c> bytes long. Vectors have one row.
/// The memory (normally a mapped file) must stay valid until the backend's load call returns; backends copy.
/// </summary>
/// <param name="Name">The checkpoint's name of the tensor, for error messages.</param>
public readonly record struct WeightData(string Name, WeightFormat Format, int Rows, int Columns, nint Address)
{
    /// <summary>F32 [Rows][Groups] of formats with <see cref="WeightFormats.HasSeparateScales"/>, else 0.</summary>
    public nint Scales { get; init; }

    /// <summary>uint8 [Rows][Groups], for <see cref="WeightFormat.Int4"/> (0 to 16) and <see cref="WeightFormat.Int8"/>; 0 where there are none.</summary>
    public nint ZeroPoints { get; init; }

    /// <summary>Neighbouring columns that share a scale: a multiple of 32 that divides <see cref="Columns"/>, or 0 for the whole row.</summary>
    public int GroupSize { get; init; }

    /// <summary>Scales of a row.</summary>
    public int Groups => GroupSize == 0 ? 1 : Columns / GroupSize;
}
