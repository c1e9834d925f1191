using System.Numerics;
using System.Runtime.CompilerServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>x / √(mean(x²) + ε) · gain, row by row (arXiv:1910.07467).</summary>
internal static unsafe class RmsNorm
{
    public static void Run(WorkerPool pool, Tensor x, float* gain, float epsilon, Tensor y)
    {
        int chunks = RowChunks.Count(x.Rows, x.Columns, pool.ThreadCount);
        pool.Run(new Job(x, gain, epsilon, y, chunks), chunks);
    }

    /// <summary>One row. The order of its sum depends on <paramref name="length"/> alone. <paramref name="y"/> may be <paramref name="x"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Row(float* x, float* gain, float epsilon, float* y, int length)
    {
        float scale = 1 / MathF.Sqrt(SumOfSquares(x, length) / length + epsilon);
        Vector<float> scales = new(scale);
        int lanes = Vector<float>.Count;
        int i = 0;
        for (; i <= length - lanes; i += lanes)
        {
            (Vector.Load(x + i) * scales * Vector.Load(gain + i)).Store(y + i);
        }
        for (; i < length; i++)
        {
            y[i] = x[i] * scale * gain[i];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float SumOfSquares(float* x, int length)
    {
        Vector<float> s0 = default, s1 = default, s2 = default, s3 = default;
        int lanes = Vector<float>.Count;
        int i = 0;
        for (; i <= length - 4 * lanes; i += 4 * lanes)
        {
            Vector<float> x0 = Vector.Load(x + i), x1 = Vector.Load(x + i + lanes);
            Vector<float> x2 = Vector.Load(x + i + 2 * lanes), x3 = Vector.Load(x + i + 3 * lanes);
            s0 = Vector.MultiplyAddEstimate(x0, x0, s0);
            s1 = Vector.MultiplyAddEstimate(x1, x1, s1);
            s2 = Vector.MultiplyAddEstimate(x2, x2, s2);
            s3 = Vector.MultiplyAddEstimate(x3, x3, s3);
        }
        float tail = 0;
        for (; i < length; i++)
        {
            tail += x[i] * x[i];
        }
        return Vector.Sum(s0 + s1 + (s2 + s3)) + tail;
    }

    private readonly struct Job(Tensor x, float* gain, float epsilon, Tensor y, int chunks) : IChunkedJob
    {
        public void Execute(int chunk)
        {
            int end = RowChunks.Start(chunk + 1, chunks, x.Rows);
            for (int row = RowChunks.Start(chunk, chunks, x.Rows); row < end; row++)
            {
                float* source = (float*)x.Address + (long)row * x.RowStride;
                Row(source, gain, epsilon, (float*)y.Address + (long)row * y.RowStride, x.Columns);
            }
        }
    }
}
