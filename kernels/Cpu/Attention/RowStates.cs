using System.Numerics;
using System.Runtime.CompilerServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// Running softmax of several rows: largest score, Σ e^(score − largest) and Σ e^(score − largest) · v. A row that has seen
/// nothing has −∞ as its largest score.
/// </summary>
internal readonly unsafe struct RowStates(float* memory, int rows, int stride)
{
    public readonly float* Max = memory;
    public readonly float* Sum = memory + rows;

    /// <summary>[rows][stride].</summary>
    public readonly float* Values = (float*)AlignedBuffer.RoundUp((long)(memory + 2 * rows));

    public static long ByteLength(int rows, int stride) =>
        AlignedBuffer.RoundUp(2L * rows * sizeof(float)) + AlignedBuffer.RoundUp((long)rows * stride * sizeof(float));

    public void Clear()
    {
        new Span<float>(Max, rows).Fill(float.NegativeInfinity);
        new Span<float>(Sum, rows).Clear();
        new Span<float>(Values, rows * stride).Clear();
    }

    /// <summary>
    /// Adds what the rows saw in the following partition. A row that saw nothing in it keeps its bits, and a row that had seen
    /// nothing takes them over, so that it does not matter how many partitions its neighbours see.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Merge(RowStates next)
    {
        for (int row = 0; row < rows; row++)
        {
            float* values = Values + (long)row * stride, others = next.Values + (long)row * stride;
            if (next.Max[row] == float.NegativeInfinity)
            {
                continue;
            }
            if (Max[row] == float.NegativeInfinity)
            {
                Max[row] = next.Max[row];
                Sum[row] = next.Sum[row];
                new ReadOnlySpan<float>(others, stride).CopyTo(new Span<float>(values, stride));
                continue;
            }
            float max = MathF.Max(Max[row], next.Max[row]);
            float mine = VectorMath.Exp(Max[row] - max), theirs = VectorMath.Exp(next.Max[row] - max);
            Max[row] = max;
            Sum[row] = Sum[row] * mine + next.Sum[row] * theirs;
            for (int i = 0; i < stride; i += Vector<float>.Count)
            {
                (Vector.Load(values + i) * mine + Vector.Load(others + i) * theirs).Store(values + i);
            }
        }
    }
}
