using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Simulation;

/// <summary>How far the simulation of a load is off in one figure, over all rounds.</summary>
/// <param name="Value">Median of predicted over measured.</param>
internal sealed record MedianRatio(string Load, string Figure, double Value)
{
    /// <summary>Of every load and figure.</summary>
    public static IReadOnlyList<MedianRatio> Of(IEnumerable<SimulationCheck> checks) =>
    [
        .. checks.GroupBy(check => check.Load).SelectMany(load => (MedianRatio[])
        [
            new(load.Key, "output tokens/s", Median(load, ratio => ratio.OutputTokensPerSecond)),
            new(load.Key, "mean time to first token", Median(load, ratio => ratio.MeanTimeToFirstToken)),
            new(load.Key, "mean time between tokens", Median(load, ratio => ratio.MeanInterTokenLatency)),
        ]),
    ];

    /// <param name="tolerance">Largest distance from 1.</param>
    public bool IsWithin(double tolerance) => Math.Abs(Value - 1) <= tolerance;

    private static double Median(IEnumerable<SimulationCheck> checks, Func<ServingFigures, double> value) =>
        new Distribution(checks.Select(check => value(check.Ratio))).Median;
}
