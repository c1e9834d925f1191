using System.Numerics.Tensors;

namespace LlamaServe.Kernels.Cpu;

/// <summary>Decodes stored elements to F32. Block layouts are those that <see cref="WeightFormat"/> describes.</summary>
internal static unsafe class RowDecoder
{
    /// <summary>Elements of a vector's parts together.</summary>
    public static int TotalColumns(ReadOnlySpan<WeightData> parts)
    {
        int columns = 0;
        foreach (WeightData part in parts)
        {
            columns = checked(columns + part.Columns);
        }
        return columns;
    }

    /// <summary>Decodes the parts of a vector, one after the other.</summary>
    /// <param name="destination">Receives <see cref="TotalColumns"/> values.</param>
    public static void Decode(ReadOnlySpan<WeightData> parts, float* destination)
    {
        foreach (WeightData part in parts)
        {
            Decode(part.Format, (byte*)part.Address, destination, part.Columns);
            destination += part.Columns;
        }
    }

    /// <summary>Decodes <paramref name="count"/> elements, a multiple of the format's block.</summary>
    public static void Decode(WeightFormat format, byte* source, float* destination, int count)
    {
        int blocks = count / format.BlockElements();
        switch (format)
        {
            case WeightFormat.F32:
                new ReadOnlySpan<float>(source, count).CopyTo(new Span<float>(destination, count));
                break;
            case WeightFormat.F16:
                TensorPrimitives.ConvertToSingle(new ReadOnlySpan<Half>(source, count), new Span<float>(destination, count));
                break;
            case WeightFormat.BF16:
                DecodeBF16((ushort*)source, destination, count);
                break;
            case WeightFormat.Q8_0:
                DecodeQ8(source, destination, blocks);
                break;
            case WeightFormat.Q4_0:
                DecodeQ4(source, destination, blocks);
                break;
            case WeightFormat.Q4_K:
                DecodeQ4K(source, destination, blocks);
                break;
            case WeightFormat.Q6_K:
                DecodeQ6K(source, destination, blocks);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(format), format, "unknown weight format");
        }
    }

    private static float Half(byte* source) => (float)BitConverter.UInt16BitsToHalf(*(ushort*)source);

    private static void DecodeBF16(ushort* source, float* destination, int count)
    {
        for (int i = 0; i < count; i++)
        {
            destination[i] = BitConverter.Int32BitsToSingle(source[i] << 16);
        }
    }

    private static void DecodeQ8(byte* block, float* y, int blocks)
    {
        for (; blocks > 0; blocks--, block += 34, y += 32)
        {
            float d = Half(block);
            for (int i = 0; i < 32; i++)
            {
                y[i] = d * (sbyte)block[2 + i];
            }
        }
    }

    private static void DecodeQ4(byte* block, float* y, int blocks)
    {
        for (; blocks > 0; blocks--, block += 18, y += 32)
        {
            float d = Half(block);
            for (int i = 0; i < 16; i++)
            {
                y[i] = d * ((block[2 + i] & 15) - 8);
                y[16 + i] = d * ((block[2 + i] >> 4) - 8);
            }
        }
    }

    /// <summary>A block is 8 groups of 32: w = d · scale[g] · q − dmin · min[g].</summary>
    private static void DecodeQ4K(byte* block, float* y, int blocks)
    {
        for (; blocks > 0; blocks--, block += 144)
        {
            float d = Half(block), dmin = Half(block + 2);
            byte* packed = block + 4, nibbles = block + 16;
            for (int group = 0; group < 8; group++, y += 32)
            {
                (int scale, int min) = ScaleAndMin(packed, group);
                byte* pair = nibbles + group / 2 * 32;
                int shift = group % 2 * 4;
                for (int i = 0; i < 32; i++)
                {
                    y[i] = d * scale * ((pair[i] >> shift) & 15) - dmin * min;
                }
            }
        }
    }

    /// <summary>
    /// 6-bit scale and min of a group out of 12 bytes. Groups 0..3: low six bits of bytes g and g + 4. Groups 4..7: low and high
    /// nibble of byte g + 4, their upper two bits on top of bytes g − 4 and g.
    /// </summary>
    private static (int Scale, int Min) ScaleAndMin(byte* packed, int group) => group < 4
        ? (packed[group] & 63, packed[group + 4] & 63)
        : ((packed[group + 4] & 15) | (packed[group - 4] >> 6 << 4), (packed[group + 4] >> 4) | (packed[group] >> 6 << 4));

    /// <summary>
    /// A block is two halves of 128, a half four runs of 32: run r takes nibble r / 2 of the low bytes (r % 2) · 32 + i and bit
    /// pair r of high byte i; w = d · scale · (q − 32) with one scale for 16 elements.
    /// </summary>
    private static void DecodeQ6K(byte* block, float* y, int blocks)
    {
        for (; blocks > 0; blocks--, block += 210)
        {
            float d = Half(block + 208);
            sbyte* scales = (sbyte*)block + 192;
            for (int run = 0; run < 8; run++, y += 32)
            {
                byte* low = block + run / 4 * 64 + run % 2 * 32;
                byte* high = block + 128 + run / 4 * 32;
                int lowShift = run % 4 / 2 * 4, highShift = run % 4 * 2;
                for (int i = 0; i < 32; i++)
                {
                    int q = ((low[i] >> lowShift) & 15) | (((high[i] >> highShift) & 3) << 4);
                    y[i] = d * scales[run * 2 + i / 16] * (q - 32);
                }
            }
        }
    }
}
