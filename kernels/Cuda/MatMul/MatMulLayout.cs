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

    private static readonly MatMulLayout Int4Row = new("int4_row", 128, 0) { Unit = "matmul_int4.cu" };
    private static readonly MatMulLayout Int4Group128 = new("int4_g128", 128, BlockRows * 2) { Unit = "matmul_int4.cu", GroupColumns = 128 };
    private static readonly MatMulLayout Int4Group64 = new("int4_g64", 128, BlockRows * 4) { Unit = "matmul_int4.cu", GroupColumns = 64 };
    private static readonly MatMulLayout Int4Group32 = new("int4_g32", 128, BlockRows * 8) { Unit = "matmul_int4.cu", GroupColumns = 32 };
    private static readonly MatMulLayout Int4Zeros128 = new("int4_zeros_g128", 128, BlockRows * 3) { Unit = "matmul_int4_zeros.cu", GroupColumns = 128 };
    private static readonly MatMulLayout Int4Zeros64 = new("int4_zeros_g64", 128, BlockRows * 6) { Unit = "matmul_int4_zeros.cu", GroupColumns = 64 };
    private static readonly MatMulLayout Int4Zeros32 = new("int4_zeros_g32", 128, BlockRows * 12) { Unit = "matmul_int4_zeros.cu", GroupColumns = 32 };
    private static readonly MatMulLayout Int8Row = new("int8_row", 64, 0) { Unit = "matmul_int8.cu" };
    private static readonly MatMulLayout Int8Group64 = new("int8_g64", 64, BlockRows * 2) { Unit = "matmul_int8.cu", GroupColumns = 64 };
    private static readonly MatMulLayout Int8Group32 = new("int8_g32", 64, BlockRows * 4) { Unit = "matmul_int8.cu", GroupColumns = 32 };
    private static readonly MatMulLayout Int8Zeros32 = new("int8_zeros_g32", 64, BlockRows * 8) { Unit = "matmul_int8.cu", GroupColumns = 32 };

    private MatMulLayout(string name, int chunkColumns, int scaleBytes, bool hasMinimum = false)
    {
        Name = name;
        Unit = $"matmul_{name}.cu";
        ChunkColumns = chunkColumns;
        ScaleBytes = scaleBytes;
        HasMinimum = hasMinimum;
    }

    public static MatMulLayout BF16 { get; } = new("bf16", 32, 0);

    public static MatMulLayout F16 { get; } = new("f16", 32, 0);

    public static MatMulLayout Q8_0 { get; } = new("q8_0", 64, BlockRows * 4);

    public static MatMulLayout Q6_K { get; } = new("q6_k", 64, BlockRows * 6);

    public static MatMulLayout Q4_0 { get; } = new("q4_0", 128, BlockRows * 8);

    public static MatMulLayout Q4_K { get; } = new("q4_k", 128, BlockRows * 12, hasMinimum: true);

    /// <summary>Those that there are kernels for.</summary>
    public static IReadOnlyList<MatMulLayout> All { get; } =
    [
        BF16, F16, Q8_0, Q6_K, Q4_0, Q4_K, Int4Row, Int4Group128, Int4Group64, Int4Group32, Int4Zeros128, Int4Zeros64, Int4Zeros32,
        Int8Row, Int8Group64, Int8Group32, Int8Zeros32,
    ];

    /// <summary>The kernels are matmul_Name_t8, _t16, _t32 and _t64 of <see cref="Unit"/>, and expert_ before both where experts have them.</summary>
    public string Name { get; }

    public string Unit { get; private init; }

    /// <summary>Columns that share a scale of those that lie beside the elements; 0 where a row has one, as its factor.</summary>
    public int GroupColumns { get; private init; }

    public int ChunkColumns { get; }

    /// <summary>Bytes of a chunk's scales, behind its <see cref="PackedBytes"/> of weights.</summary>
    public int ScaleBytes { get; }

    /// <summary>Whether the kernels keep sums of the activations beside them.</summary>
    public bool HasMinimum { get; }

    public int ChunkBytes => PackedBytes + ScaleBytes;

    /// <summary>F32 weights are held as BF16, all others with all their bits. Groups of other sizes are cut into those that there are.</summary>
    /// <exception cref="ArgumentException">There are no kernels for the format.</exception>
    public static MatMulLayout Of(in WeightData data) => data.Format switch
    {
        WeightFormat.F32 or WeightFormat.BF16 => BF16,
        WeightFormat.F16 => F16,
        WeightFormat.Q8_0 => Q8_0,
        WeightFormat.Q6_K => Q6_K,
        WeightFormat.Q4_0 => Q4_0,
        WeightFormat.Q4_K => Q4_K,
        WeightFormat.Int4 when data.ZeroPoints != 0 => (data.GroupSize % 128, data.GroupSize % 64) switch
        {
            (0, _) => Int4Zeros128,
            (_, 0) => Int4Zeros64,
            _ => Int4Zeros32,
        },
        WeightFormat.Int4 => (data.Groups, data.GroupSize % 128, data.GroupSize % 64) switch
        {
            (1, _, _) => Int4Row,
            (_, 0, _) => Int4Group128,
            (_, _, 0) => Int4Group64,
            _ => Int4Group32,
        },
        WeightFormat.Int8 when data.ZeroPoints != 0 => Int8Zeros32,
        WeightFormat.Int8 => data.Groups == 1 ? Int8Row : data.GroupSize % 64 == 0 ? Int8Group64 : Int8Group32,
        _ => throw new ArgumentException($"{data.Name} is {data.Format}: the CUDA backend has no such matrices"),
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
