namespace LlamaServe.Kernels.Cuda;

/// <summary>Rearranges 128 rows of a checkpoint's weights into a block of <see cref="MatMulLayout"/>.</summary>
internal static unsafe class MatMulPacker
{
    /// <summary>Columns that the kernels take in one step, and the elements of their scale groups.</summary>
    private const int StepColumns = 32;

    /// <param name="format">Format of all rows.</param>
    /// <param name="rows">Addresses of up to 128 rows.</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="block">Receives <see cref="MatMulLayout.BlockBytes"/> bytes; what no row and no column fills becomes zero.</param>
    public static void Pack(WeightFormat format, ReadOnlySpan<nint> rows, int columns, byte* block)
    {
        MatMulLayout layout = MatMulLayout.Of(format);
        new Span<byte>(block, checked((int)layout.BlockBytes(columns))).Clear();
        for (int row = 0; row < rows.Length; row++)
        {
            byte* source = (byte*)rows[row];
            if (layout == MatMulLayout.BF16)
            {
                BFloat16Packer.PackRow(format, source, columns, row, block);
                continue;
            }
            int steps = layout.ChunkColumns / StepColumns, stepBytes = MatMulLayout.PackedBytes / 8 / steps;
            for (int step = 0; step < columns / StepColumns; step++)
            {
                byte* chunk = block + (long)(step / steps) * layout.ChunkBytes;
                PackStep(format, source, step, row, chunk, chunk + (row / 16 * steps + step % steps) * stepBytes);
            }
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
