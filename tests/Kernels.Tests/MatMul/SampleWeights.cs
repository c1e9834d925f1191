using System.Buffers.Binary;

namespace LlamaServe.Kernels.Tests.MatMul;

/// <summary>Random weights as a checkpoint stores them, and what they mean by the format's definition, in double precision.</summary>
internal sealed class SampleWeights
{
    private SampleWeights(WeightFormat format, int rows, int columns, byte[] bytes)
    {
        Format = format;
        Rows = rows;
        Columns = columns;
        Bytes = bytes;
    }

    public WeightFormat Format { get; }

    public int Rows { get; }

    public int Columns { get; }

    public byte[] Bytes { get; }

    private int RowBytes => Bytes.Length / Rows;

    public static SampleWeights Random(WeightFormat format, int rows, int columns, int seed)
    {
        var random = new Random(seed);
        byte[] bytes = new byte[format.Bytes((long)rows * columns)];
        random.NextBytes(bytes);
        for (int block = 0; block < bytes.Length; block += format.BlockBytes())
        {
            MakeFinite(format, bytes.AsSpan(block, format.BlockBytes()), random);
        }

        return new SampleWeights(format, rows, columns, bytes);
    }

    public double[] Row(int row)
    {
        double[] values = new double[Columns];
        int elements = Format.BlockElements(), blockBytes = Format.BlockBytes();
        for (int block = 0; block < Columns / elements; block++)
        {
            DecodeBlock(Bytes.AsSpan(row * RowBytes + block * blockBytes, blockBytes), values.AsSpan(block * elements, elements));
        }

        return values;
    }

    private static void MakeFinite(WeightFormat format, Span<byte> block, Random random)
    {
        double value = random.NextDouble() - 0.5;
        switch (format)
        {
            case WeightFormat.F32:
                BinaryPrimitives.WriteSingleLittleEndian(block, (float)value);
                break;
            case WeightFormat.BF16:
                BinaryPrimitives.WriteUInt16LittleEndian(block, (ushort)(BitConverter.SingleToUInt32Bits((float)value) >> 16));
                break;
            case WeightFormat.Q6_K:
                BinaryPrimitives.WriteHalfLittleEndian(block[208..], (Half)(value / 1000));
                break;
            case WeightFormat.Q4_K:
                BinaryPrimitives.WriteHalfLittleEndian(block, (Half)(value / 100));
                BinaryPrimitives.WriteHalfLittleEndian(block[2..], (Half)(random.NextDouble() / 20));
                break;
            default:
                BinaryPrimitives.WriteHalfLittleEndian(block, (Half)value);
                break;
        }
    }

    private void DecodeBlock(ReadOnlySpan<byte> block, Span<double> values)
    {
        switch (Format)
        {
            case WeightFormat.F32:
                values[0] = BinaryPrimitives.ReadSingleLittleEndian(block);
                break;
            case WeightFormat.F16:
                values[0] = HalfAt(block, 0);
                break;
            case WeightFormat.BF16:
                values[0] = BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(block) << 16);
                break;
            case WeightFormat.Q8_0:
                for (int i = 0; i < 32; i++)
                {
                    values[i] = HalfAt(block, 0) * (sbyte)block[2 + i];
                }

                break;
            case WeightFormat.Q4_0:
                for (int i = 0; i < 32; i++)
                {
                    values[i] = HalfAt(block, 0) * ((i < 16 ? block[2 + i] & 15 : block[i - 14] >> 4) - 8);
                }

                break;
            case WeightFormat.Q4_K:
                DecodeQ4K(block, values);
                break;
            default:
                DecodeQ6K(block, values);
                break;
        }
    }

    private static void DecodeQ4K(ReadOnlySpan<byte> block, Span<double> values)
    {
        ReadOnlySpan<byte> packed = block.Slice(4, 12), nibbles = block[16..];
        for (int i = 0; i < 256; i++)
        {
            int sub = i / 32;
            int scale = sub < 4 ? packed[sub] & 63 : (packed[sub + 4] & 15) + 16 * (packed[sub - 4] >> 6);
            int min = sub < 4 ? packed[sub + 4] & 63 : (packed[sub + 4] >> 4) + 16 * (packed[sub] >> 6);
            int two = nibbles[i / 64 * 32 + i % 32];
            int nibble = i % 64 < 32 ? two & 15 : two >> 4;
            values[i] = HalfAt(block, 0) * scale * nibble - HalfAt(block, 2) * min;
        }
    }

    private static void DecodeQ6K(ReadOnlySpan<byte> block, Span<double> values)
    {
        for (int half = 0; half < 2; half++)
        {
            ReadOnlySpan<byte> low = block.Slice(64 * half, 64), high = block.Slice(128 + 32 * half, 32);
            for (int i = 0; i < 32; i++)
            {
                Span<int> six =
                [
                    (low[i] & 15) + 16 * (high[i] & 3), (low[i + 32] & 15) + 16 * (high[i] >> 2 & 3),
                    (low[i] >> 4) + 16 * (high[i] >> 4 & 3), (low[i + 32] >> 4) + 16 * (high[i] >> 6),
                ];
                for (int quarter = 0; quarter < 4; quarter++)
                {
                    int element = 128 * half + 32 * quarter + i;
                    values[element] = HalfAt(block, 208) * (sbyte)block[192 + element / 16] * (six[quarter] - 32);
                }
            }
        }
    }

    private static double HalfAt(ReadOnlySpan<byte> block, int offset)
    {
        Half value = BinaryPrimitives.ReadHalfLittleEndian(block[offset..]);
        return Half.IsFinite(value) ? (double)value : 0;
    }
}
