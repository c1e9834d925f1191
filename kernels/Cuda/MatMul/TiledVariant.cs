using LlamaServe.Kernels.Cuda.Compilation;

namespace LlamaServe.Kernels.Cuda;

/// <summary>One of the kernels for a format, matmul_Format_tTokens, and what its launches need: MmaTile and WgmmaTile of the sources.</summary>
/// <param name="Tokens">Of a tile.</param>
/// <param name="Blocks">Blocks of 64 rows of a tile.</param>
/// <param name="Threads">Of a CTA.</param>
/// <param name="SharedBytes">Of a CTA.</param>
/// <param name="PersistentCtas">CTAs of an SM that go through all tiles, or 0 where each tile has its own.</param>
/// <param name="AddsSplits">Whether a CTA may go through several splits of inexact sums.</param>
internal readonly record struct TiledVariant(int Tokens, int Blocks, int Threads, int SharedBytes, int PersistentCtas, bool AddsSplits)
{
    /// <summary>In order of their tokens.</summary>
    public static TiledVariant[] Of(TiledFormat format, GpuArchitecture architecture) => architecture == GpuArchitecture.Sm90a
        ? Array.ConvertAll(WgmmaTokens(format), tokens => Wgmma(tokens, tokens == 128 || (tokens == 192 && format == TiledFormat.BF16)))
        : [Mma(8), Mma(32), Mma(64), Mma(128)];

    private static int[] WgmmaTokens(TiledFormat format) => format == TiledFormat.Int8 ? [8, 32, 64, 128, 256]
        : format == TiledFormat.Fp8 ? [8, 32, 64, 128, 192]
        : [8, 32, 64, 128, 192, 256];

    private static TiledVariant Mma(int tokens)
    {
        int stage = 2 * TiledFormat.BlockBytes + tokens * TiledFormat.ChunkBytes, budget = (tokens >= 64 ? 98 : 80) * 1024;
        return new TiledVariant(tokens, 2, 256, budget / stage * stage, 0, true);
    }

    private static TiledVariant Wgmma(int tokens, bool addsSplits)
    {
        const int Barriers = 1024, MaxStages = 10;
        bool few = tokens <= 64;
        int warpgroups = few ? 1 : 2;
        int slices = warpgroups * Math.Min(tokens, 32) * (TiledFormat.BlockRows + 4) * sizeof(float);
        int stage = warpgroups * TiledFormat.BlockBytes + tokens * TiledFormat.ChunkBytes;
        int stages = Math.Min(((few ? 110 : 224) * 1024 - Barriers - slices) / stage, MaxStages);
        return new TiledVariant(tokens, warpgroups, few ? 160 : 384, Barriers + stages * stage + slices, few ? 2 : 1, addsSplits);
    }
}
