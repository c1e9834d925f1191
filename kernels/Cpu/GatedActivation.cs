using System.Numerics;
using System.Runtime.CompilerServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>silu(gate) · up of fused gate|up rows (SwiGLU, arXiv:2002.05202); silu(x) = x / (1 + e⁻ˣ).</summary>
internal static unsafe class GatedActivation
{
    /// <summary>An element costs about as much as this many copied ones.</summary>
    private const int CostPerElement = 4;

    /// <summary>silu has vanished long before it, and its exponential has not overflowed yet.</summary>
    private const float LowestGate = -88;

    public static void Run(WorkerPool pool, Tensor gateUp, Tensor y)
    {
        int chunks = RowChunks.Count(y.Rows, (long)CostPerElement * y.Columns, pool.ThreadCount);
        pool.Run(new Job(gateUp, y, chunks), chunks);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Row(float* gate, float* up, float* y, int length)
    {
        int lanes = Vector<float>.Count;
        int i = 0;
        for (; i <= length - lanes; i += lanes)
        {
            Gate(Vector.Load(gate + i), Vector.Load(up + i)).Store(y + i);
        }
        for (; i < length; i++)
        {
            y[i] = Gate(new Vector<float>(gate[i]), new Vector<float>(up[i]))[0];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<float> Gate(Vector<float> gate, Vector<float> up)
    {
        Vector<float> x = Vector.MaxNative(new Vector<float>(LowestGate), gate);
        return x / (Vector<float>.One + VectorMath.Exp(-x)) * up;
    }

    private readonly struct Job(Tensor gateUp, Tensor y, int chunks) : IChunkedJob
    {
        public void Execute(int chunk)
        {
            int end = RowChunks.Start(chunk + 1, chunks, y.Rows);
            for (int row = RowChunks.Start(chunk, chunks, y.Rows); row < end; row++)
            {
                float* gate = (float*)gateUp.Address + (long)row * gateUp.RowStride;
                Row(gate, gate + y.Columns, (float*)y.Address + (long)row * y.RowStride, y.Columns);
            }
        }
    }
}
