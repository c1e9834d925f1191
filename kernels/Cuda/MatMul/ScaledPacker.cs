using System.Runtime.Intrinsics;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Packs rows whose scales lie beside them, as matmul_int4.cuh and matmul_int8.cuh describe it.</summary>
internal static unsafe class ScaledPacker
{
    private const int StepColumns = 32;

    /// <summary>A row's largest group scale is brought between 2^14 and 2^15, from where F16 reaches down another 2^28 with all its bits.</summary>
    private const int LargestExponent = 14;

    /// <param name="row">Row of the block of 128.</param>
    /// <param name="block">Zeroed.</param>
    /// <returns>What the row's sums are to be multiplied by.</returns>
    public static float PackRow(WeightRow source, MatMulLayout layout, int row, byte* block)
    {
        PackElements(source, layout, row, block);
        float factor = layout.GroupColumns == 0 ? source.Scales[0] : PowerOfTwo(source.Scales);
        for (int column = 0; layout.GroupColumns > 0 && column < source.Data.Columns; column += layout.GroupColumns)
        {
            int groups = layout.ChunkColumns / layout.GroupColumns, group = source.Data.GroupSize == 0 ? 0 : column / source.Data.GroupSize;
            byte* scales = block + (long)(column / layout.ChunkColumns) * layout.ChunkBytes + MatMulLayout.PackedBytes;
            int index = row * groups + column % layout.ChunkColumns / layout.GroupColumns;
            ((Half*)scales)[index] = (Half)(source.Scales[group] / factor);
            if (!source.ZeroPoints.IsEmpty)
            {
                PackZero(source.Data.Format, source.ZeroPoints[group], index, scales + MatMulLayout.BlockRows * groups * sizeof(ushort));
            }
        }
        return factor;
    }

    private static void PackElements(WeightRow source, MatMulLayout layout, int row, byte* block)
    {
        int columns = source.Data.Columns, steps = layout.ChunkColumns / StepColumns, stepBytes = MatMulLayout.PackedBytes / 8 / steps;
        bool isInt4 = source.Data.Format == WeightFormat.Int4;
        Vector128<byte> sign = Vector128.Create(source.ZeroPoints.IsEmpty ? (byte)0x80 : (byte)0);
        byte* padded = stackalloc byte[StepColumns];
        for (int column = 0; column < columns; column += StepColumns)
        {
            byte* quants = source.Elements + source.Data.Format.Bytes(column);
            if (column + StepColumns > columns)
            {
                int bytes = (int)source.Data.Format.Bytes(columns - column);
                new Span<byte>(quants, bytes).CopyTo(new Span<byte>(padded, StepColumns));
                quants = padded;
            }
            byte* chunk = block + (long)(column / layout.ChunkColumns) * layout.ChunkBytes;
            byte* step = chunk + (row / MatMulLayout.StripRows * steps + column / StepColumns % steps) * stepBytes;
            if (isInt4)
            {
                Vector128<byte> pairs = Vector128.Load(quants), even = pairs & Vector128.Create((byte)15), odd = pairs >>> 4;
                QuantPacker.PackInt4(Interleave(even.GetLower(), odd.GetLower()), row, 0, step);
                QuantPacker.PackInt4(Interleave(even.GetUpper(), odd.GetUpper()), row, 1, step);
            }
            else
            {
                QuantPacker.PackInt8(Vector128.Load(quants) ^ sign, row, 0, step);
                QuantPacker.PackInt8(Vector128.Load(quants + 16) ^ sign, row, 1, step);
            }
        }
    }

    private static Vector128<byte> Interleave(Vector64<byte> even, Vector64<byte> odd) =>
        (Vector128.WidenLower(even.ToVector128()) | (Vector128.WidenLower(odd.ToVector128()) << 8)).AsByte();

    private static void PackZero(WeightFormat format, byte zero, int index, byte* zeros)
    {
        if (format == WeightFormat.Int4)
        {
            zeros[index] = zero;
        }
        else
        {
            ((ushort*)zeros)[index] = Bf16.Round(128 - zero);
        }
    }

    private static float PowerOfTwo(ReadOnlySpan<float> scales)
    {
        float largest = 0;
        foreach (float scale in scales)
        {
            largest = Math.Max(largest, Math.Abs(scale));
        }
        return largest > 0 && float.IsFinite(largest) ? MathF.ScaleB(1, Math.ILogB(largest) - LargestExponent) : 1;
    }
}
