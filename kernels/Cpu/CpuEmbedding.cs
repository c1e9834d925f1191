namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// A token table in the checkpoint's own format, for row look-ups. A table that also serves as the output projection is
/// held a second time in the layout of the matrix kernels, which cannot give back a row cheaply.
/// </summary>
internal sealed unsafe class CpuEmbedding : Weight
{
    private readonly WeightFormat _format;
    private readonly AlignedBuffer _rows;
    private readonly long _rowBytes;

    public CpuEmbedding(WeightData table, CpuLinear? projection)
        : base(table.Rows, table.Columns)
    {
        _format = table.Format;
        _rowBytes = table.Format.Bytes(table.Columns);
        long bytes = checked(_rowBytes * table.Rows);
        _rows = new AlignedBuffer(bytes);
        Buffer.MemoryCopy((void*)table.Address, _rows.Bytes, bytes, bytes);
        Projection = projection;
    }

    /// <summary>The same table as a matrix, where tied.</summary>
    public CpuLinear? Projection { get; }

    public override long ByteLength => _rows.ByteLength + (Projection?.ByteLength ?? 0);

    /// <summary>[Columns] values of one token.</summary>
    public void DecodeRow(int token, float* destination) =>
        RowDecoder.Decode(_format, _rows.Bytes + token * _rowBytes, destination, Columns);

    public override void Dispose()
    {
        _rows.Dispose();
        Projection?.Dispose();
    }
}
