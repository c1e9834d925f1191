namespace LlamaServe.Kernels.Cpu;

/// <summary>A matrix packed for the matrix kernels: one segment for each run of parts of one format of panels, stacked by rows.</summary>
internal sealed unsafe class CpuLinear : Weight
{
    private readonly PackedMatrix[] _segments;

    /// <param name="parts">At least one; equal column counts.</param>
    public CpuLinear(WorkerPool pool, ReadOnlySpan<WeightData> parts)
        : base(WeightRow.Count(parts), parts[0].Columns)
    {
        List<PackedMatrix> segments = [];
        for (int begin = 0, end; begin < parts.Length; begin = end)
        {
            end = begin + 1;
            while (end < parts.Length && ScaledRow.PanelFormat(parts[end]) == ScaledRow.PanelFormat(parts[begin]))
            {
                end++;
            }
            segments.Add(PackedMatrix.Create(pool, parts[begin..end]));
        }
        _segments = [.. segments];
    }

    /// <summary>One for each run of parts of equal format, rows stacked.</summary>
    public ReadOnlySpan<PackedMatrix> Segments => _segments;

    public override long ByteLength => _segments.Sum(segment => segment.ByteLength);

    /// <summary>y = x · matrixᵀ (+ bias) (+ residual): each segment writes its own columns of y.</summary>
    public void Multiply(MatMul matMul, Tensor x, CpuVector? bias, Tensor? residual, Tensor y)
    {
        MatMulArguments arguments = new()
        {
            Input = (float*)x.Address,
            InputStride = x.RowStride,
            Rows = x.Rows,
            Output = (float*)y.Address,
            OutputStride = y.RowStride,
            Bias = bias is null ? null : bias.Values,
            Residual = (float*)(residual?.Address ?? 0),
            ResidualStride = residual?.RowStride ?? 0,
        };
        foreach (PackedMatrix segment in _segments)
        {
            matMul.Run(arguments, segment);
            arguments.Output += segment.Rows;
            arguments.Bias = arguments.Bias == null ? null : arguments.Bias + segment.Rows;
            arguments.Residual = arguments.Residual == null ? null : arguments.Residual + segment.Rows;
        }
    }

    /// <summary>The elements of one row as F32.</summary>
    /// <param name="row">0 … <see cref="Weight.Rows"/> − 1.</param>
    /// <param name="values">Receives <see cref="Weight.Columns"/> elements.</param>
    public void DecodeRow(int row, float* values)
    {
        int segment = 0;
        for (; row >= _segments[segment].Rows; segment++)
        {
            row -= _segments[segment].Rows;
        }
        _segments[segment].DecodeRow(row, values);
    }

    public override void Dispose() => Array.ForEach(_segments, segment => segment.Dispose());
}
