namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// A token table for row look-ups. It is held once: in the checkpoint's own format or, where it also serves as the output
/// projection, in the panels of the matrix kernels, out of which a row decodes to the same bits.
/// </summary>
internal sealed unsafe class CpuEmbedding : Weight
{
    private readonly WeightFormat _format;
    private readonly AlignedBuffer? _rows;
    private readonly long _rowBytes;

    /// <summary>A table for look-ups alone.</summary>
    public CpuEmbedding(WeightData table)
        : base(table.Rows, table.Columns)
    {
        _format = table.Format;
        _rowBytes = table.Format.Bytes(table.Columns);
        long bytes = checked(_rowBytes * table.Rows);
        _rows = new AlignedBuffer(bytes);
        Buffer.MemoryCopy((void*)table.Address, _rows.Bytes, bytes, bytes);
    }

    /// <summary>A table that is also a matrix.</summary>
    /// <param name="projection">Owned from here on.</param>
    public CpuEmbedding(CpuLinear projection)
        : base(projection.Rows, projection.Columns) => Projection = projection;

    /// <summary>The same table as a matrix, where tied.</summary>
    public CpuLinear? Projection { get; }

    public override long ByteLength => Projection?.ByteLength ?? _rows!.ByteLength;

    /// <summary>[Columns] values of one token.</summary>
    public void DecodeRow(int token, float* destination)
    {
        if (Projection is not null)
        {
            Projection.DecodeRow(token, destination);
            return;
        }
        RowDecoder.Decode(_format, _rows!.Bytes + token * _rowBytes, destination, Columns);
    }

    public override void Dispose()
    {
        _rows?.Dispose();
        Projection?.Dispose();
    }
}
