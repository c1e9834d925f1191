using System.Diagnostics;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cpu;

namespace LlamaServe.Bench.Products;

/// <summary>Times one shape and format of the product over copies of the matrix that no cache holds together.</summary>
internal sealed unsafe class MatMulMeasurement : IDisposable
{
    private const long WorkingSetBytes = 160L << 20;
    private const int Passes = 5;
    private const int WarmUpCalls = 40;

    private readonly WorkerPool _pool;
    private readonly MatMul _matMul;
    private readonly PackedMatrix[] _copies;
    private readonly AlignedBuffer _input;
    private readonly AlignedBuffer _output;
    private int _next;

    public MatMulMeasurement(int threads, WeightFormat format, int outputs, int columns, int mostRows)
    {
        _pool = new WorkerPool(threads);
        _matMul = new MatMul(_pool, CpuFeatures.Detect());
        _copies = Pack(format, outputs, columns);
        _input = new AlignedBuffer((long)mostRows * columns * sizeof(float));
        _output = new AlignedBuffer((long)mostRows * outputs * sizeof(float));
        var random = new Random(1);
        for (int i = 0; i < mostRows * columns; i++)
        {
            ((float*)_input.Bytes)[i] = random.NextSingle() - 0.5f;
        }
    }

    /// <summary>Bytes of one copy of the matrix.</summary>
    public long WeightBytes => _copies[0].ByteLength;

    public double MultiplyAdds(int rows) => (double)rows * _copies[0].Rows * _copies[0].Columns;

    /// <summary>Seconds of one product, the median of several passes over all copies.</summary>
    public double MedianSeconds(int rows)
    {
        for (int call = 0; call < WarmUpCalls; call++)
        {
            Multiply(rows);
        }

        double[] seconds = new double[Passes];
        for (int pass = 0; pass < Passes; pass++)
        {
            long start = Stopwatch.GetTimestamp();
            for (int copy = 0; copy < _copies.Length; copy++)
            {
                Multiply(rows);
            }

            seconds[pass] = Stopwatch.GetElapsedTime(start).TotalSeconds / _copies.Length;
        }

        Array.Sort(seconds);
        return seconds[Passes / 2];
    }

    public void Dispose()
    {
        Array.ForEach(_copies, copy => copy.Dispose());
        _input.Dispose();
        _output.Dispose();
        _matMul.Dispose();
        _pool.Dispose();
    }

    private void Multiply(int rows)
    {
        PackedMatrix matrix = _copies[_next++ % _copies.Length];
        _matMul.Run(
            new MatMulArguments
            {
                Input = (float*)_input.Bytes,
                InputStride = matrix.Columns,
                Rows = rows,
                Output = (float*)_output.Bytes,
                OutputStride = matrix.Rows,
            },
            matrix);
    }

    /// <summary>Zero weights: the kernels' time does not depend on the values.</summary>
    private PackedMatrix[] Pack(WeightFormat format, int outputs, int columns)
    {
        byte[] zeros = new byte[format.Bytes((long)outputs * columns)];
        var copies = new PackedMatrix[Math.Max(2, (int)(WorkingSetBytes / zeros.Length))];
        fixed (byte* source = zeros)
        {
            for (int copy = 0; copy < copies.Length; copy++)
            {
                copies[copy] = PackedMatrix.Create(_pool, [new WeightData("zeros", format, outputs, columns, (nint)source)]);
            }
        }

        return copies;
    }
}
