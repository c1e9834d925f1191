namespace LlamaServe.Bench.Simulation;

/// <summary>
/// Devices that share a model's matrices by columns and rows (tensor parallelism), by their roofline: a step takes the longer of reading
/// all weights and of computing all tokens, then reads or computes what attention needs, and adds up partial results twice a layer.
/// Efficiencies are assumptions, to be replaced by what a device measures.
/// </summary>
/// <param name="Count">Devices.</param>
/// <param name="ComputeEfficiency">Part of <see cref="DataSheet.Operations"/> that products reach.</param>
/// <param name="BandwidthEfficiency">Part of <see cref="DataSheet.Bandwidth"/> that reads reach.</param>
/// <param name="StepOverhead">Seconds of a step beside kernels.</param>
internal sealed record DeviceGroup(
    DataSheet Gpu, ModelShape Model, int Count, double ComputeEfficiency = 0.7, double BandwidthEfficiency = 0.85, double StepOverhead = 300e-6) : IStepCost
{
    private const double ReduceLatency = 8e-6;
    private const double UsableMemory = 0.92;
    private const double ActivationBytes = 3e9;

    private double OperationsPerSecond => Count * ComputeEfficiency * Gpu.Operations * (Model.WeightBits == 8 ? 2 : 1);

    private double BytesPerSecond => Count * BandwidthEfficiency * Gpu.Bandwidth;

    /// <summary>Tokens whose keys and values fit beside the weights.</summary>
    /// <exception cref="ArgumentException">Not even the weights fit.</exception>
    public int KvTokens
    {
        get
        {
            double free = Count * (UsableMemory * Gpu.Memory - ActivationBytes) - Model.WeightBytes - 2.0 * Model.Hidden * Model.Vocabulary;
            return free > 0
                ? (int)(free / Model.KvBytesPerToken)
                : throw new ArgumentException($"{Model.Name} with {Model.WeightBits} bits a weight does not fit {Count} × {Gpu.Name}");
        }
    }

    /// <exception cref="ArgumentException">A value is out of range, or KV heads are not shared evenly.</exception>
    public void Validate()
    {
        string? fault = this switch
        {
            { Model.WeightBits: not (>= 1 and <= 32) } or { Model.KvBits: not (>= 1 and <= 32) } => "weights and KV elements have 1 to 32 bits",
            { ComputeEfficiency: not (> 0 and <= 1) } or { BandwidthEfficiency: not (> 0 and <= 1) } => "efficiencies are above 0 and at most 1",
            _ when Count < 1 || Model.KvHeads % Count != 0 => $"{Count} GPUs do not share {Model.KvHeads} KV heads evenly",
            _ => null,
        };
        if (fault is not null)
        {
            throw new ArgumentException(fault);
        }
    }

    public double Seconds(in StepSize step)
    {
        double products = Math.Max(Model.WeightBytes / BytesPerSecond, step.Tokens * Model.TokenOperations / OperationsPerSecond);
        double attention = step.DecodeAttended * Model.KvBytesPerToken / BytesPerSecond
            + step.PrefillAttended * Model.AttendedOperations / (Count * ComputeEfficiency * Gpu.Operations);
        return StepOverhead + products + attention + ReduceSeconds(step.Tokens);
    }

    private double ReduceSeconds(int tokens) => Count == 1
        ? 0
        : 2.0 * Model.Layers * (ReduceLatency + 2.0 * tokens * Model.Hidden * 2 * (Count - 1) / Count / Gpu.Link);
}
