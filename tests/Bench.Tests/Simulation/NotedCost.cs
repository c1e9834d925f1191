using LlamaServe.Bench.Simulation;

namespace LlamaServe.Bench.Tests.Simulation;

/// <summary>Another cost, and the steps that it was asked for.</summary>
internal sealed class NotedCost(IStepCost cost) : IStepCost
{
    public List<StepSize> Sizes { get; } = [];

    public double Seconds(in StepSize step)
    {
        Sizes.Add(step);
        return cost.Seconds(step);
    }
}
