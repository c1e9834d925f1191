namespace LlamaServe.Kernels.Cpu;

/// <summary>A matrix for each expert of a layer, all of one shape and of the same formats part by part.</summary>
internal sealed class CpuExperts : Weight
{
    private readonly CpuLinear[] _experts;

    /// <param name="parts">As many for each expert, expert by expert.</param>
    public CpuExperts(WorkerPool pool, ReadOnlySpan<WeightData> parts, int experts)
        : base(WeightRow.Count(parts[..(parts.Length / experts)]), parts[0].Columns)
    {
        int each = parts.Length / experts;
        _experts = new CpuLinear[experts];
        for (int i = 0; i < experts; i++)
        {
            _experts[i] = new CpuLinear(pool, parts.Slice(i * each, each));
        }
    }

    public int Count => _experts.Length;

    public override long ByteLength => _experts.Sum(expert => expert.ByteLength);

    /// <summary>Runs of parts of equal format, in each expert the same.</summary>
    public int Segments => _experts[0].Segments.Length;

    public PackedMatrix Segment(int expert, int segment) => _experts[expert].Segments[segment];

    public override void Dispose() => Array.ForEach(_experts, expert => expert.Dispose());
}
