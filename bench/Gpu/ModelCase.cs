using LlamaServe.Kernels;

namespace LlamaServe.Bench.Gpu;

/// <summary>A whole model and the requests that it serves.</summary>
/// <param name="GroupSize">Columns of a scale, of the formats that have them.</param>
/// <param name="MostPlaces">Most sequences at a time; 1 for the decoding of one.</param>
internal sealed record ModelCase(
    GpuModel Model, WeightFormat Format, int GroupSize, DType KvType, int PromptTokens, int NewTokens, int MostPlaces)
{
    private const int FewestTokens = 2048;

    /// <summary>Goal in tokens a second, where there is one.</summary>
    public double? TokensPerSecond { get; init; }

    /// <summary>Goal as a part of the floor, where there is one.</summary>
    public double? OfFloor { get; init; }

    /// <summary>Goal for the median step, where there is one.</summary>
    public double? StepSeconds { get; init; }

    /// <summary>Goal for the host's part of a step, where there is one.</summary>
    public double? HostSeconds { get; init; }

    /// <summary>Whether kernels may start before the one ahead of them ends, on devices that can do so.</summary>
    public bool ProgrammaticLaunches { get; init; } = true;

    /// <summary>Sequences at a time that are measured, ascending; the best of them is the case's row.</summary>
    public IReadOnlyList<int> Batches { get; init; } = [MostPlaces];

    /// <summary>Instead of a steady middle, a whole run of so many requests for each place, all there from the start; 0 for none.</summary>
    public int Rounds { get; init; }

    public string Name =>
        $"{Model.Name} {Format}{(GroupSize > 0 ? $" g{GroupSize}" : "")}, {KvType} KV, {PromptTokens}/{NewTokens}{(ProgrammaticLaunches ? "" : ", without early starts")}{(Rounds == 0 ? "" : ", whole run")}";

    public double WeightBytes => RandomDecoder.StepBytes(Model, Format, GroupSize) + 2.0 * Model.Shape.OutputMultiplyAdds;

    /// <summary>A token of every sequence, and the prompts of those that replace finished ones at the same rate; rounded up.</summary>
    public int TokenBudget
    {
        get
        {
            double steady = MostPlaces * (1 + 1.25 * PromptTokens / NewTokens);
            return MostPlaces == 1 ? Math.Max(PromptTokens, 16) : Math.Max(FewestTokens, ((int)steady + 255) / 256 * 256);
        }
    }

    /// <summary>
    /// Tokens a second that bytes and operations allow with so many sequences: each step reads the weights once and the keys and
    /// values of all, which are half way through on average; each new token costs its own products and its share of the prompt's.
    /// </summary>
    public double Floor(GpuLimits limits, int places)
    {
        double context = PromptTokens + NewTokens / 2.0;
        double bytes = RandomDecoder.StepBytes(Model, Format, GroupSize) / places + context * Model.KvTokenBytes(KvType);
        double operations = 2.0 * Model.MatrixElements + 2.0 * Model.Shape.LayerMultiplyAdds * PromptTokens / NewTokens;
        double peak = Format switch
        {
            WeightFormat.Int8Dynamic => limits.Int8Operations,
            WeightFormat.Fp8 => limits.Fp8Operations ?? limits.Bf16Operations,
            _ => limits.Bf16Operations,
        };
        return 1 / (MostPlaces == 1 ? limits.Bytes(bytes) : Math.Max(limits.Bytes(bytes), operations / peak));
    }
}
