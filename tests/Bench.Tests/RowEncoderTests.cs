using System.Buffers.Binary;
using LlamaServe.Bench.Models;
using LlamaServe.Kernels;

namespace LlamaServe.Bench.Tests;

public sealed class RowEncoderTests
{
    [TestCase(WeightFormat.F32, 0)]
    [TestCase(WeightFormat.F16, 1.0 / 2048)]
    [TestCase(WeightFormat.BF16, 1.0 / 256)]
    public void Floats_come_back_within_half_a_unit_of_the_format(WeightFormat format, double relativeError)
    {
        float[] row = NoiseRow(64);
        byte[] encoded = Encode(format, row);
        for (int i = 0; i < row.Length; i++)
        {
            float decoded = format switch
            {
                WeightFormat.F32 => BinaryPrimitives.ReadSingleLittleEndian(encoded.AsSpan(4 * i)),
                WeightFormat.F16 => (float)BinaryPrimitives.ReadHalfLittleEndian(encoded.AsSpan(2 * i)),
                _ => BitConverter.Int32BitsToSingle(BinaryPrimitives.ReadUInt16LittleEndian(encoded.AsSpan(2 * i)) << 16),
            };
            Assert.That(decoded, Is.EqualTo(row[i]).Within(Math.Abs(row[i]) * relativeError), $"element {i}");
        }
    }

    [Test]
    public void A_q8_block_keeps_each_element_within_half_a_step()
    {
        float[] row = NoiseRow(64);
        byte[] encoded = Encode(WeightFormat.Q8_0, row);
        for (int i = 0; i < row.Length; i++)
        {
            ReadOnlySpan<byte> block = encoded.AsSpan(i / 32 * 34, 34);
            float scale = (float)BinaryPrimitives.ReadHalfLittleEndian(block);
            float decoded = scale * (sbyte)block[2 + i % 32];
            Assert.That(decoded, Is.EqualTo(row[i]).Within(0.5 * scale + 127 * scale / 2048), $"element {i}");
        }
    }

    [Test]
    public void A_q4_block_keeps_each_element_within_a_step_and_its_largest_exactly()
    {
        float[] row = NoiseRow(64);
        byte[] encoded = Encode(WeightFormat.Q4_0, row);
        for (int i = 0; i < row.Length; i++)
        {
            ReadOnlySpan<byte> block = encoded.AsSpan(i / 32 * 18, 18);
            float scale = (float)BinaryPrimitives.ReadHalfLittleEndian(block);
            byte pair = block[2 + i % 16];
            int code = i % 32 < 16 ? pair & 15 : pair >> 4;
            float largest = row.AsSpan(i / 32 * 32, 32).ToArray().MaxBy(Math.Abs);
            double tolerance = row[i] == largest ? Math.Abs(largest) / 2048 : 1.01 * Math.Abs(scale);
            Assert.That(scale * (code - 8), Is.EqualTo(row[i]).Within(tolerance), $"element {i}");
        }
    }

    [TestCase(WeightFormat.Q8_0)]
    [TestCase(WeightFormat.Q4_0)]
    public void A_block_of_zeros_decodes_to_zeros(WeightFormat format)
    {
        byte[] encoded = Encode(format, new float[32]);
        Assert.That((float)BinaryPrimitives.ReadHalfLittleEndian(encoded), Is.Zero);
    }

    [Test]
    public void A_row_that_is_no_multiple_of_the_block_is_refused() =>
        Assert.That(() => RowEncoder.RowBytes(WeightFormat.Q4_0, 33), Throws.ArgumentException);

    private static float[] NoiseRow(int count)
    {
        float[] row = new float[count];
        NormalNoise.Fill(row, seed: 3, stream: 1, deviation: 0.02f);
        return row;
    }

    private static byte[] Encode(WeightFormat format, float[] row)
    {
        byte[] encoded = new byte[RowEncoder.RowBytes(format, row.Length)];
        RowEncoder.Encode(format, row, encoded);
        return encoded;
    }
}
