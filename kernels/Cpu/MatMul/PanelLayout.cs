namespace LlamaServe.Kernels.Cpu;

/// <summary>What a row of activations is turned into before it meets a weight panel.</summary>
internal enum ActivationEncoding
{
    /// <summary>F32 as it is.</summary>
    Float32,

    /// <summary>BF16, rounded to nearest even.</summary>
    BFloat16,

    /// <summary>INT8 by blocks of 32: 32 × s8 q, f32 scale, s32 −offset·Σq.</summary>
    Int8,

    /// <summary>INT8 by blocks of 32: 32 × s8 q, f32 scale, f32 scale·Σq (for formats with a minimum).</summary>
    Int8WithSums,

    /// <summary>INT8 by blocks of 32: 32 × s8 q, f32 scale, s32 −offset·Σq of the first and of the second 16.</summary>
    Int8WithHalfSums,
}

/// <summary>
/// How a weight format is stored for the micro-kernels. Sixteen output rows form a panel; a panel is a run of steps along K;
/// a step holds all sixteen rows' elements of <see cref="StepColumns"/> columns together with their scales, so that a matrix
/// is read as one stream. Zeros pad rows to 16 and columns to whole steps.
/// <code>
/// Step of          columns   bytes
/// F32                   16    1024   f32 [16 k][16 rows]
/// F16                   16     512   f16 [16 k][16 rows]
/// BF16                  32    1024   bf16 [16 pairs of k][16 rows][2]
/// Q8_0                  64    1088   u8 q+128 [16 quads of k][16 rows][4], f16 d [2 blocks][16 rows]
/// Q4_0                  64     576   u4 [2 blocks][4][16 rows][4] (below), f16 d [2 blocks][16 rows]
/// Q4_K                 256    2368   u4 [8 blocks][4][16 rows][4], u8 scale [8][16], u8 min [8][16], f16 d [16], f16 dmin [16]
/// Q6_K                 256    3392   [8 blocks] (u4 [4][16 rows][4], u2 [2][16 rows][4]), s8 scale [16][16], f16 d [16], 32 unused
///
/// u4: byte [j][row][i] holds element 4j+i of its 32-element block in the low nibble and element 16+4j+i in the high one.
/// u2: byte [h][row][i] holds bits 4..5 of elements 16h+4s+i of its block in bits 2s, 2s+1 for s = 0..3.
/// </code>
/// </summary>
internal readonly record struct PanelLayout(int StepColumns, int StepBytes, ActivationEncoding Encoding, int Offset)
{
    /// <summary>Output rows of a panel: the f32 lanes of a 512-bit register.</summary>
    public const int PanelRows = 16;

    /// <summary>Columns that share one activation scale.</summary>
    public const int BlockColumns = 32;

    /// <summary>Bytes of one row's activations of a step.</summary>
    public int ActivationStepBytes => Encoding switch
    {
        ActivationEncoding.Float32 => StepColumns * 4,
        ActivationEncoding.BFloat16 => StepColumns * 2,
        ActivationEncoding.Int8WithHalfSums => StepColumns / BlockColumns * 44,
        _ => StepColumns / BlockColumns * 40,
    };

    public static PanelLayout Of(WeightFormat format) => format switch
    {
        WeightFormat.F32 => new(16, 1024, ActivationEncoding.Float32, 0),
        WeightFormat.F16 => new(16, 512, ActivationEncoding.Float32, 0),
        WeightFormat.BF16 => new(32, 1024, ActivationEncoding.BFloat16, 0),
        WeightFormat.Q8_0 => new(64, 1088, ActivationEncoding.Int8, 128),
        WeightFormat.Q4_0 => new(64, 576, ActivationEncoding.Int8, 8),
        WeightFormat.Q4_K => new(256, 2368, ActivationEncoding.Int8WithSums, 0),
        WeightFormat.Q6_K => new(256, 3392, ActivationEncoding.Int8WithHalfSums, 32),
        _ => throw new ArgumentException($"the CPU backend has no {format} matrices"),
    };

    /// <summary>Steps that cover <paramref name="columns"/> columns.</summary>
    public int Steps(int columns) => (columns + StepColumns - 1) / StepColumns;
}
