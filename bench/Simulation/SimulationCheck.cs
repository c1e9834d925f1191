using System.Diagnostics;
using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Simulation;

/// <summary>What is compared between a run and its simulation. Seconds.</summary>
internal sealed record ServingFigures(double OutputTokensPerSecond, double MeanTimeToFirstToken, double MeanInterTokenLatency)
{
    public static ServingFigures Of(IReadOnlyCollection<RequestRecord> records)
    {
        double seconds = Stopwatch.GetElapsedTime(records.Min(record => record.Sent), records.Max(record => record.Ended)).TotalSeconds;
        ServeResult result = new(records, seconds, goal: null);
        return new ServingFigures(result.OutputTokensPerSecond, result.TimeToFirstToken.Mean, result.InterTokenLatency.Mean);
    }

    public static ServingFigures Of(SimulationResult result) =>
        new(result.OutputTokensPerSecond, result.TimeToFirstToken.Mean, result.InterTokenLatency.Mean);

    public ServingFigures Over(ServingFigures other) => new(
        OutputTokensPerSecond / other.OutputTokensPerSecond,
        MeanTimeToFirstToken / other.MeanTimeToFirstToken,
        MeanInterTokenLatency / other.MeanInterTokenLatency);
}

/// <summary>A run beside its simulation.</summary>
/// <param name="Load">What was sent.</param>
/// <param name="Predicted">By the cost of steps before the run.</param>
/// <param name="Explained">By the cost of the run's own steps: what is off here is the model, not the machine.</param>
/// <param name="OthersShare">The part of the machine that other processes had meanwhile; null where unknown.</param>
internal sealed record SimulationCheck(
    string Load, int Round, ServingFigures Measured, ServingFigures Predicted, ServingFigures Explained, double? OthersShare)
{
    /// <summary>Predicted over measured.</summary>
    public ServingFigures Ratio { get; } = Predicted.Over(Measured);

    /// <summary>Explained over measured.</summary>
    public ServingFigures ExplainedRatio { get; } = Explained.Over(Measured);
}

/// <summary>What <c>simulate check</c> found.</summary>
/// <param name="Steps">From which the cost of all rounds together is fitted.</param>
internal sealed record CheckResult(IReadOnlyList<SimulationCheck> Checks, int Steps, StepCostFile Cost);
