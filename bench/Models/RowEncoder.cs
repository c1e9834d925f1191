using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using LlamaServe.Kernels;

namespace LlamaServe.Bench.Models;

/// <summary>
/// Encodes one row of a weight matrix in a GGUF storage format. The roundings are those of the GGUF reference
/// quantizers, so a file made here holds what a converter would have stored.
/// </summary>
internal static class RowEncoder
{
    private const int BlockSize = 32;
    private const int ScaleBytes = 2;

    /// <summary>Bytes of a row of <paramref name="columns"/> elements.</summary>
    /// <exception cref="ArgumentException">The columns are no multiple of the format's block.</exception>
    public static int RowBytes(WeightFormat format, int columns) => columns % format.BlockElements() == 0
        ? (int)format.Bytes(columns)
        : throw new ArgumentException($"{format} needs rows of a multiple of {format.BlockElements()} elements, not {columns}.");

    /// <summary>Writes <paramref name="row"/> to the first <see cref="RowBytes"/> bytes of <paramref name="destination"/>.</summary>
    /// <exception cref="ArgumentException">A format that has no encoder here, or columns that do not fit it.</exception>
    public static void Encode(WeightFormat format, ReadOnlySpan<float> row, Span<byte> destination)
    {
        destination = destination[..RowBytes(format, row.Length)];
        switch (format)
        {
            case WeightFormat.F32:
                MemoryMarshal.AsBytes(row).CopyTo(destination);
                break;
            case WeightFormat.F16:
                TensorPrimitives.ConvertToHalf(row, MemoryMarshal.Cast<byte, Half>(destination));
                break;
            case WeightFormat.BF16:
                EncodeBFloat16(row, MemoryMarshal.Cast<byte, ushort>(destination));
                break;
            case WeightFormat.Q4_0:
                EncodeBlocks(row, destination, format.BlockBytes(), EncodeQ4Block);
                break;
            case WeightFormat.Q8_0:
                EncodeBlocks(row, destination, format.BlockBytes(), EncodeQ8Block);
                break;
            default:
                throw new ArgumentException($"No encoder writes {format}.");
        }
    }

    private delegate void BlockEncoder(ReadOnlySpan<float> block, Span<byte> destination);

    private static void EncodeBlocks(ReadOnlySpan<float> row, Span<byte> destination, int blockBytes, BlockEncoder encode)
    {
        for (int i = 0; i < row.Length / BlockSize; i++)
        {
            encode(row.Slice(i * BlockSize, BlockSize), destination.Slice(i * blockBytes, blockBytes));
        }
    }

    // Round to nearest, ties to even; the weights are finite, so NaN needs no care.
    private static void EncodeBFloat16(ReadOnlySpan<float> row, Span<ushort> destination)
    {
        for (int i = 0; i < row.Length; i++)
        {
            uint bits = BitConverter.SingleToUInt32Bits(row[i]);
            destination[i] = (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
        }
    }

    // The element of largest magnitude maps to -8, which is the one code without a positive twin.
    private static void EncodeQ4Block(ReadOnlySpan<float> block, Span<byte> destination)
    {
        float scale = TensorPrimitives.MaxMagnitude(block) / -8;
        float inverse = scale == 0 ? 0 : 1 / scale;
        BinaryPrimitives.WriteHalfLittleEndian(destination, (Half)scale);
        for (int i = 0; i < BlockSize / 2; i++)
        {
            int low = Q4Code(block[i] * inverse);
            int high = Q4Code(block[i + BlockSize / 2] * inverse);
            destination[ScaleBytes + i] = (byte)(low | (high << 4));
        }
    }

    private static int Q4Code(float scaled) => Math.Min(15, (int)(scaled + 8.5f));

    private static void EncodeQ8Block(ReadOnlySpan<float> block, Span<byte> destination)
    {
        float scale = MathF.Abs(TensorPrimitives.MaxMagnitude(block)) / 127;
        float inverse = scale == 0 ? 0 : 1 / scale;
        BinaryPrimitives.WriteHalfLittleEndian(destination, (Half)scale);
        for (int i = 0; i < BlockSize; i++)
        {
            destination[ScaleBytes + i] = (byte)(sbyte)MathF.Round(block[i] * inverse, MidpointRounding.AwayFromZero);
        }
    }
}
