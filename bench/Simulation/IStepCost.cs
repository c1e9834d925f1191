namespace LlamaServe.Bench.Simulation;

/// <summary>How long a device takes for a step.</summary>
internal interface IStepCost
{
    /// <summary>Seconds of a step of this size.</summary>
    double Seconds(in StepSize step);
}
