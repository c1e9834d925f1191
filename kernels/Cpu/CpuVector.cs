namespace LlamaServe.Kernels.Cpu;

/// <summary>A norm gain or bias as F32.</summary>
internal sealed unsafe class CpuVector : Weight
{
    private readonly AlignedBuffer _values;

    public CpuVector(ReadOnlySpan<WeightData> parts)
        : base(1, RowDecoder.TotalColumns(parts))
    {
        _values = new AlignedBuffer(4L * Columns);
        RowDecoder.Decode(parts, _values.Floats);
    }

    public override long ByteLength => _values.ByteLength;

    public float* Values => _values.Floats;

    public override void Dispose() => _values.Dispose();
}
