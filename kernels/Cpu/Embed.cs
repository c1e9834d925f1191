namespace LlamaServe.Kernels.Cpu;

/// <summary>Rows of an embedding table, decoded to F32.</summary>
internal static unsafe class Embed
{
    /// <summary>Decoding an element costs about as much as this many copied ones.</summary>
    private const int CostPerElement = 4;

    public static void Run(WorkerPool pool, ForwardBatch batch, CpuEmbedding table, Tensor y)
    {
        int chunks = RowChunks.Count(y.Rows, (long)CostPerElement * y.Columns, pool.ThreadCount);
        pool.Run(new Job(batch, table, y, chunks), chunks);
    }

    private readonly struct Job(ForwardBatch batch, CpuEmbedding table, Tensor y, int chunks) : IChunkedJob
    {
        public void Execute(int chunk)
        {
            ReadOnlySpan<int> ids = batch.TokenIds;
            int end = RowChunks.Start(chunk + 1, chunks, y.Rows);
            for (int row = RowChunks.Start(chunk, chunks, y.Rows); row < end; row++)
            {
                table.DecodeRow(ids[row], (float*)y.Address + (long)row * y.RowStride);
            }
        }
    }
}
