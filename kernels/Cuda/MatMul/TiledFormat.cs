using LlamaServe.Kernels.Cuda.Compilation;

namespace LlamaServe.Kernels.Cuda;

/// <summary>A type that weights and activations share in the products of tiled_matmul.cuh.</summary>
/// <param name="Name">In the kernels' names.</param>
/// <param name="Unit">That has the kernels.</param>
/// <param name="ElementBytes">Of one weight or activation.</param>
internal sealed record TiledFormat(string Name, string Unit, int ElementBytes)
{
    /// <summary>Bytes of a row that are a piece of their own in memory.</summary>
    public const int ChunkBytes = 128;

    /// <summary>Rows of weights in a block.</summary>
    public const int BlockRows = 64;

    public const int BlockBytes = BlockRows * ChunkBytes;

    /// <summary>Blocks are padded to whole tiles of so many.</summary>
    public const int TileBlocks = 2;

    /// <summary>Token rows are padded to a multiple of this, the period of the permutation of their parts.</summary>
    public const int TokenPadding = 8;

    private const string EightBits = "matmul_w8a8.cu";

    public static TiledFormat Int8 { get; } = new("s8", EightBits, 1) { IsExact = true };

    public static TiledFormat Fp8 { get; } = new("e4m3", EightBits, 1);

    public static TiledFormat BF16 { get; } = new("w16a16", "matmul_w16a16.cu", 2);

    /// <summary>Whether sums do not depend on their order.</summary>
    public bool IsExact { get; private init; }

    /// <summary>Whether activations are quantized, and weights' and activations' rows have scales; else they are BF16 rows as they are.</summary>
    public bool IsQuantized => ElementBytes == 1;

    /// <summary>The format that weights of a format have on a device, F32 ones rounded to BF16, or null where matmul.cuh's kernels take them.</summary>
    /// <exception cref="ArgumentException">The device lacks the instructions.</exception>
    public static TiledFormat? Of(WeightFormat format, GpuArchitecture architecture) => format switch
    {
        WeightFormat.F32 or WeightFormat.BF16 => BF16,
        WeightFormat.Int8Dynamic => Int8,
        WeightFormat.Fp8 when architecture == GpuArchitecture.Sm80 =>
            throw new ArgumentException($"{format} matrices need a GPU of compute capability 8.9 or later; this one is {architecture.Name()}"),
        WeightFormat.Fp8 => Fp8,
        _ => null,
    };

    public static int Blocks(int rows) => (rows + BlockRows * TileBlocks - 1) / (BlockRows * TileBlocks) * TileBlocks;

    public int Chunks(int columns) => (columns * ElementBytes + ChunkBytes - 1) / ChunkBytes;

    public static int PaddedTokens(int tokens) => (tokens + TokenPadding - 1) / TokenPadding * TokenPadding;
}
