using System.Buffers.Binary;

namespace LlamaServe.Kernels.Tests;

/// <summary>Random stored weights of every format, and their elements read one by one as each format's description says.</summary>
internal static class StoredWeights
{
    /// <summary>Random blocks whose scales are small numbers.</summary>
    public static byte[] Random(Random random, WeightFormat format, long elements)
    {
        byte[] bytes = new byte[format.Bytes(elements)];
        random.NextBytes(bytes);
        for (int block = 0; block < bytes.Length; block += format.BlockBytes())
        {
            Span<byte> b = bytes.AsSpan(block, format.BlockBytes());
            switch (format)
            {
                case WeightFormat.F32:
                    BinaryPrimitives.WriteSingleLittleEndian(b, Small(random));
                    break;
                case WeightFormat.F16:
                    BinaryPrimitives.WriteHalfLittleEndian(b, (Half)Small(random));
                    break;
                case WeightFormat.BF16:
                    BinaryPrimitives.WriteUInt16LittleEndian(b, (ushort)(BitConverter.SingleToUInt32Bits(Small(random)) >> 16));
                    break;
                case WeightFormat.Q6_K:
                    BinaryPrimitives.WriteHalfLittleEndian(b[208..], (Half)(Small(random) / 1000));
                    break;
                case WeightFormat.Q4_K:
                    BinaryPrimitives.WriteHalfLittleEndian(b, (Half)(Small(random) / 100));
                    BinaryPrimitives.WriteHalfLittleEndian(b[2..], (Half)(Small(random) / 100));
                    break;
                default:
                    BinaryPrimitives.WriteHalfLittleEndian(b, (Half)(Small(random) / 10));
                    break;
            }
        }
        return bytes;
    }

    public static double[] Decode(WeightFormat format, byte[] bytes, int elements)
    {
        double[] values = new double[elements];
        for (int i = 0; i < elements; i++)
        {
            (int block, int element) = Math.DivRem(i, format.BlockElements());
            values[i] = Element(format, bytes.AsSpan(block * format.BlockBytes(), format.BlockBytes()), element);
        }
        return values;
    }

    private static float Small(Random random) => (0.05f + random.NextSingle()) * (1 - 2 * random.Next(2));

    private static double Element(WeightFormat format, ReadOnlySpan<byte> block, int i) => format switch
    {
        WeightFormat.F32 => BinaryPrimitives.ReadSingleLittleEndian(block),
        WeightFormat.F16 => (double)BinaryPrimitives.ReadHalfLittleEndian(block),
        WeightFormat.BF16 => BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(block) << 16),
        WeightFormat.Q8_0 => Scale(block) * (sbyte)block[2 + i],
        WeightFormat.Q4_0 => Scale(block) * (Nibble(block[2 + i % 16], i / 16) - 8),
        WeightFormat.Q4_K => ElementQ4K(block, i),
        _ => ElementQ6K(block, i),
    };

    private static double Scale(ReadOnlySpan<byte> at) => (double)BinaryPrimitives.ReadHalfLittleEndian(at);

    private static int Nibble(byte value, int high) => high == 0 ? value & 0xF : value >> 4;

    private static double ElementQ4K(ReadOnlySpan<byte> block, int i)
    {
        ReadOnlySpan<byte> packed = block.Slice(4, 12);
        int group = i / 32;
        int scale, min;
        if (group < 4)
        {
            scale = packed[group] & 0x3F;
            min = packed[group + 4] & 0x3F;
        }
        else
        {
            scale = (packed[group + 4] & 0xF) + 16 * (packed[group - 4] >> 6);
            min = (packed[group + 4] >> 4) + 16 * (packed[group] >> 6);
        }
        int q = Nibble(block[16 + 32 * (group / 2) + i % 32], group % 2);
        return Scale(block) * scale * q - Scale(block[2..]) * min;
    }

    private static double ElementQ6K(ReadOnlySpan<byte> block, int i)
    {
        int half = i / 128, within = i % 128;
        int low = Nibble(block[64 * half + within % 64], within / 64);
        int high = (block[128 + 32 * half + within % 32] >> (2 * (within / 32))) & 3;
        return Scale(block[208..]) * (sbyte)block[192 + i / 16] * (low + 16 * high - 32);
    }
}
