namespace LlamaServe.Kernels.Cuda;

/// <summary>Rearranges 128 rows of a checkpoint's weights into a block of <see cref="MatMulLayout"/>.</summary>
internal static unsafe class MatMulPacker
{
    /// <summary>Columns that the kernels take in one step, and the elements of their scale groups.</summary>
    private const int StepColumns = 32;

    /// <param name="rows">All of one layout.</param>
    /// <param name="first">First of those to pack.</param>
    /// <param name="block">Receives <see cref="MatMulLayout.BlockBytes"/> bytes; what no row and no column fills becomes zero.</param>
    /// <param name="factors">Receives what the rows' sums are to be multiplied by, where scales lie beside the elements.</param>
    public static void Pack(MatMulLayout layout, PackedRows rows, int first, byte* block, Span<float> factors)
    {
        new Span<byte>(block, checked((int)layout.BlockBytes(rows.First.Columns))).Clear();
        for (int row = 0; row < MatMulLayout.BlockRows; row++)
        {
            if (rows[first + row] is not { } source)
            {
                continue;
            }
            if (source.Data.Format.HasSeparateScales())
            {
                factors[row] = ScaledPacker.PackRow(source, layout, row, block);
            }
            else if (source.Data.Format.BlockElements() == 1)
            {
                FloatPacker.PackRow(source, row, block);
            }
            else
            {
                PackBlocks(source, layout, row, block);
            }
        }
    }

    private static void PackBlocks(WeightRow source, MatMulLayout layout, int row, byte* block)
    {
        int steps = layout.ChunkColumns / StepColumns, stepBytes = MatMulLayout.PackedBytes / 8 / steps;
        for (int step = 0; step < source.Data.Columns / StepColumns; step++)
        {
            byte* chunk = block + (long)(step / steps) * layout.ChunkBytes;
            PackStep(source.Data.Format, source.Elements, step, row, chunk, chunk + (row / 16 * steps + step % steps) * stepBytes);
        }
    }

    private static void PackStep(WeightFormat format, byte* source, int step, int row, byte* chunk, byte* weights)
    {
        byte* scales = chunk + MatMulLayout.PackedBytes;
        switch (format)
        {
            case WeightFormat.Q8_0:
                QuantPacker.PackQ8_0(source + step * 34, step % 2, row, weights, scales);
                break;
            case WeightFormat.Q6_K:
                QuantPacker.PackQ6_K(source + step / 8 * 210, step % 8, row, weights, scales);
                break;
            case WeightFormat.Q4_0:
                QuantPacker.PackQ4_0(source + step * 18, step % 4, row, weights, scales);
                break;
            case WeightFormat.Q4_K:
                QuantPacker.PackQ4_K(source + step / 8 * 144, step % 8, row, weights, scales);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(format), format, "not a quantized format");
        }
    }
}
