using LlamaServe.Kernels.Cpu;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>A token table for row look-ups, BF16 row-major, and the same table as a matrix where tied.</summary>
internal sealed unsafe class CudaEmbedding : Weight
{
    private const int RowsPerUpload = 256;

    public CudaEmbedding(CudaRuntime runtime, WeightData table, StackedLinear? projection)
        : base(table.Rows, table.Columns)
    {
        Projection = projection;
        Table = runtime.Memory.Take(TableBytes);
        long rowBytes = table.Format.Bytes(table.Columns);
        float[] values = new float[table.Columns];
        byte[] packed = new byte[(long)RowsPerUpload * table.Columns * sizeof(ushort)];
        for (int first = 0; first < table.Rows; first += RowsPerUpload)
        {
            int rows = Math.Min(RowsPerUpload, table.Rows - first);
            for (int row = 0; row < rows; row++)
            {
                fixed (float* decoded = values)
                {
                    RowDecoder.Decode(table.Format, (byte*)table.Address + (first + row) * rowBytes, decoded, table.Columns);
                }
                Bf16.Round(values, packed.AsSpan(row * table.Columns * sizeof(ushort)));
            }
            int bytes = rows * table.Columns * sizeof(ushort);
            runtime.Uploads.Upload(runtime.Stream, Table + (long)first * table.Columns * sizeof(ushort), packed.AsSpan(0, bytes));
        }
    }

    public StackedLinear? Projection { get; }

    /// <summary>[Rows, Columns] BF16.</summary>
    public DevicePtr Table { get; }

    public override long ByteLength => TableBytes + (Projection?.ByteLength ?? 0);

    private long TableBytes => (long)sizeof(ushort) * Rows * Columns;

    /// <summary>The memory belongs to the backend's pool.</summary>
    public override void Dispose() => Projection?.Dispose();
}
