namespace LlamaServe.Kernels.Cpu;

/// <summary>A norm gain or bias as F32.</summary>
internal sealed unsafe class CpuVector : Weight
{
    private readonly AlignedBuffer _values;

    public CpuVector(ReadOnlySpan<WeightData> parts)
        : base(1, TotalColumns(parts))
    {
        _values = new AlignedBuffer(4L * Columns);
        float* destination = _values.Floats;
        foreach (WeightData part in parts)
        {
            RowDecoder.Decode(part.Format, (byte*)part.Address, destination, part.Columns);
            destination += part.Columns;
        }
    }

    public override long ByteLength => _values.ByteLength;

    public float* Values => _values.Floats;

    public override void Dispose() => _values.Dispose();

    private static int TotalColumns(ReadOnlySpan<WeightData> parts)
    {
        int columns = 0;
        foreach (WeightData part in parts)
        {
            columns = checked(columns + part.Columns);
        }
        return columns;
    }
}
