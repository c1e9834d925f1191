using LlamaServe.Kernels;

namespace LlamaServe.Bench.Gpu;

/// <summary>The whole models of the table, most important first: what comes last is left out when time runs out.</summary>
internal static class ModelCases
{
    /// <summary>Places of throughput rows; the device's memory may have room for fewer.</summary>
    private const int Places = 1024, HostBatch = 256;

    private static readonly int[] Batches = [256, 384, 512, 768];

    private const double ArticleTokensPerSecond = 5200, ArticleStepSeconds = 0.095, HostSeconds = 100e-6;

    /// <summary>Where the weights have 8 bits, keys and values do too.</summary>
    private const DType Kv = DType.Fp8;

    public static IReadOnlyList<ModelCase> All { get; } =
    [
        Decode(GpuModel.Llama8B, WeightFormat.Int4, 128, 0.75),
        Decode(GpuModel.Llama8B, WeightFormat.Int4, 128, null) with { ProgrammaticLaunches = false },
        Decode(GpuModel.Llama8B, WeightFormat.BF16, 0, 0.85),
        new(GpuModel.Llama8B, WeightFormat.BF16, 0, DType.BF16, 128, 512, HostBatch) { HostSeconds = HostSeconds },
        new(GpuModel.Llama70B, WeightFormat.Fp8, 0, Kv, 128, 2048, Places) { TokensPerSecond = 4336 },
        new(GpuModel.Llama70B, WeightFormat.Int4, 128, DType.BF16, 128, 512, Batches[^1]) { Batches = Batches, TokensPerSecond = ArticleTokensPerSecond, StepSeconds = ArticleStepSeconds },
        new(GpuModel.Llama8B, WeightFormat.Fp8, 0, Kv, 128, 2048, Places) { TokensPerSecond = 26221 },
        new(GpuModel.Llama70B, WeightFormat.Fp8, 0, Kv, 1000, 1000, Places) { TokensPerSecond = 2909 },
        new(GpuModel.Llama8B, WeightFormat.Fp8, 0, Kv, 1000, 1000, Places) { TokensPerSecond = 17744 },
        new(GpuModel.Llama70B, WeightFormat.Int8Dynamic, 0, Kv, 128, 512, Batches[^1]) { Batches = Batches, TokensPerSecond = ArticleTokensPerSecond, StepSeconds = ArticleStepSeconds },
        new(GpuModel.Llama70B, WeightFormat.Fp8, 0, Kv, 2048, 2048, Places) { TokensPerSecond = 2003 },
        new(GpuModel.Llama8B, WeightFormat.Fp8, 0, Kv, 2048, 2048, Places) { TokensPerSecond = 12194 },
        new(GpuModel.Llama8B, WeightFormat.Fp8, 0, Kv, 1000, 1000, Places) { Rounds = 2, TokensPerSecond = 17744 },
        new(GpuModel.Llama70B, WeightFormat.Fp8, 0, Kv, 1000, 1000, Places) { Rounds = 2, TokensPerSecond = 2909 },
    ];

    /// <summary>Each kind of row, as small as it can be.</summary>
    public static IReadOnlyList<ModelCase> Tiny { get; } =
    [
        new(GpuModel.Tiny8B, WeightFormat.Q4_0, 0, DType.BF16, 16, 4, 1) { OfFloor = 0.75 },
        new(GpuModel.Tiny8B, WeightFormat.BF16, 0, DType.BF16, 8, 8, 3) { TokensPerSecond = 1e9, StepSeconds = 1e-9, HostSeconds = 10 },
        new(GpuModel.Tiny70B, WeightFormat.Fp8, 0, Kv, 8, 8, 3),
        new(GpuModel.Tiny70B, WeightFormat.Int4, 128, DType.BF16, 8, 8, 3) { Batches = [1, 3] },
        new(GpuModel.Tiny70B, WeightFormat.BF16, 0, DType.BF16, 8, 4, 3) { Rounds = 2, TokensPerSecond = 1e-9 },
    ];

    private static ModelCase Decode(GpuModel model, WeightFormat format, int groupSize, double? ofFloor) =>
        new(model, format, groupSize, DType.BF16, 128, 256, 1) { OfFloor = ofFloor };
}
