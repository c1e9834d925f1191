namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// How the weights of a format lie on the device: blocks of 128 rows, each the chunks of its columns one after the other, as
/// matmul.cuh and its units describe them.
/// </summary>
internal sealed class MatMulLayout
{
    public const int BlockRows = 128;

    /// <summary>Rows of one warp.</summary>
    public const int StripRows = 16;

    /// <summary>Bytes of a chunk's weights.</summary>
    public const int PackedBytes = 8192;

    private const int MaxStages = 8;

    private MatMulLayout(string name, int chunkColumns, int scaleBytes, bool hasMinimum = false)
    {
        Name = name;
        ChunkColumns = chunkColumns;
        ScaleBytes = scaleBytes;
        HasMinimum = hasMinimum;
    }

    public static MatMulLayout BF16 { get; } = new("bf16", 32, 0);

    public static MatMulLayout Q8_0 { get; } = new("q8_0", 64, BlockRows * 4);

    public static MatMulLayout Q6_K { get; } = new("q6_k", 64, BlockRows * 6);

    public static MatMulLayout Q4_0 { get; } = new("q4_0", 128, BlockRows * 8);

    public static MatMulLayout Q4_K { get; } = new("q4_k", 128, BlockRows * 12, hasMinimum: true);

    /// <summary>The kernels are matmul_Name_t8, _t16, _t32 and _t64 of the unit matmul_Name.cu.</summary>
    public string Name { get; }

    public int ChunkColumns { get; }

    /// <summary>Bytes of a chunk's scales, behind its <see cref="PackedBytes"/> of weights.</summary>
    public int ScaleBytes { get; }

    /// <summary>Whether the kernels keep sums of the activations beside them.</summary>
    public bool HasMinimum { get; }

    public int ChunkBytes => PackedBytes + ScaleBytes;

    public string Unit => $"matmul_{Name}.cu";

    /// <summary>Floating-point weights are held as BF16, quantized ones with all their bits.</summary>
    public static MatMulLayout Of(WeightFormat format) => format switch
    {
        WeightFormat.F32 or WeightFormat.F16 or WeightFormat.BF16 => BF16,
        WeightFormat.Q8_0 => Q8_0,
        WeightFormat.Q6_K => Q6_K,
        WeightFormat.Q4_0 => Q4_0,
        WeightFormat.Q4_K => Q4_K,
        _ => throw new ArgumentException($"the CUDA backend has no {format} matrices"),
    };

    public static int Blocks(int rows) => (rows + BlockRows - 1) / BlockRows;

    public int Chunks(int columns) => (columns + ChunkColumns - 1) / ChunkColumns;

    /// <summary>Bytes of one block of rows.</summary>
    public long BlockBytes(int columns) => (long)Chunks(columns) * ChunkBytes;

    /// <summary>Shared memory of a kernel for tiles of <paramref name="tokens"/>: matmul.cuh's Stages · StageBytes.</summary>
    public int SharedBytes(int tokens)
    {
        int sums = HasMinimum ? ChunkColumns / 32 * tokens * sizeof(float) : 0;
        int stage = ChunkBytes + tokens * ChunkColumns * 2 + sums;
        int budget = (tokens == 64 ? 96 : 79) * 1024;
        return Math.Min(budget / stage, MaxStages) * stage;
    }
}
