using System.Numerics.Tensors;

namespace LlamaServe.Kernels.Cpu;

/// <summary>A token's rows of its experts, weighted and summed in the order of its choices, and its residual.</summary>
internal static unsafe class CombineExperts
{
    /// <param name="rows">[Assignments, columns], what the experts gave.</param>
    /// <param name="residual">[Tokens, columns].</param>
    /// <param name="y">[Tokens, columns].</param>
    public static void Run(WorkerPool pool, Tensor rows, ExpertRouting routing, Tensor residual, Tensor y)
    {
        int chunks = RowChunks.Count(y.Rows, (long)routing.ExpertsPerToken * y.Columns, pool.ThreadCount);
        pool.Run(new Job(rows, routing, residual, y, chunks), chunks);
    }

    private static Span<float> Row(Tensor tensor, int row) => new((float*)tensor.Address + (long)row * tensor.RowStride, tensor.Columns);

    private readonly struct Job(Tensor rows, ExpertRouting routing, Tensor residual, Tensor y, int chunks) : IChunkedJob
    {
        public void Execute(int chunk)
        {
            int end = RowChunks.Start(chunk + 1, chunks, y.Rows);
            for (int token = RowChunks.Start(chunk, chunks, y.Rows); token < end; token++)
            {
                Span<float> sum = Row(y, token);
                for (int i = 0; i < routing.ExpertsPerToken; i++)
                {
                    int choice = token * routing.ExpertsPerToken + i;
                    float weight = ((float*)routing.Weights)[choice];
                    ReadOnlySpan<float> row = Row(rows, ((int*)routing.AssignmentOfChoice)[choice]);
                    if (i == 0)
                    {
                        TensorPrimitives.Multiply(row, weight, sum);
                    }
                    else
                    {
                        TensorPrimitives.MultiplyAdd(row, weight, sum, sum);
                    }
                }
                TensorPrimitives.Add(sum, Row(residual, token), sum);
            }
        }
    }
}
