using System.Buffers.Binary;
using LlamaServe.Kernels.Cuda;

namespace LlamaServe.Kernels.Tests.Cuda.MatMul;

[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
public sealed class CudaMatMulTests(string kind)
{
    private TestDevice _device = null!;

    [SetUp]
    public void RequireDevice() => _device = TestDevice.Require(kind);

    [Test]
    public void Products_match_double_precision([GgufFormats] WeightFormat format, [Values(1, 7, 8, 9, 33, 65, 130)] int tokens)
    {
        // Rows that fill neither blocks nor vectors; columns that fill no chunk but as the format's blocks allow.
        const int Rows = 131;
        int columns = format.BlockElements() == 256 ? 256 : 32 * 9;
        byte[] bytes = StoredWeights.Random(new Random(tokens), format, (long)Rows * columns);
        float[] x = Activations(tokens * columns, tokens);
        using DeviceProduct product = new(_device, columns, 2, tokens, (format, bytes));
        AssertClose(product.Run(x, padding: 3), ReferenceOps.Linear(Doubles(x), Held(format, bytes, Rows * columns), columns, null, null));
    }

    [Test]
    public void F16_weights_keep_their_bits_and_meet_activations_beyond_its_range([Values(1, 9)] int tokens)
    {
        // Every finite F16, among them those that BF16 rounds and those below its smallest normal number.
        const int Rows = 62, Columns = 1024;
        byte[] bytes = new byte[Rows * Columns * 2];
        for (int i = 0; i < Rows * Columns; i++)
        {
            int magnitude = i % 0x7C00;
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(2 * i), (ushort)(i < 0x7C00 ? magnitude : magnitude | 0x8000));
        }
        float[] x = new float[tokens * Columns];
        for (int row = 0; row < tokens; row++)
        {
            // One weight a product: nothing hides a lost bit.
            x[row * Columns + 31 * row] = row % 2 == 0 ? 1 : MathF.ScaleB(1.5f, 100);
        }
        double[] expected = ReferenceOps.Linear(Doubles(x), StoredWeights.Decode(WeightFormat.F16, bytes, Rows * Columns), Columns, null, null);
        using DeviceProduct product = new(_device, Columns, 2, tokens, (WeightFormat.F16, bytes));
        float[] actual = product.Run(x);
        // Sums of the two halves of a weight round once.
        Assert.That(actual.Zip(expected).All(pair => Math.Abs(pair.First - pair.Second) <= Math.Abs(pair.Second) * 1.2e-7));
    }

    [TestCase(1)]
    [TestCase(37)]
    [TestCase(100)]
    public void Floating_point_rows_may_have_any_length(int columns)
    {
        byte[] bytes = StoredWeights.Random(new Random(columns), WeightFormat.BF16, 20 * columns);
        float[] x = Activations(3 * columns, columns);
        using DeviceProduct product = new(_device, columns, 0, 3, (WeightFormat.BF16, bytes));
        AssertClose(product.Run(x), ReferenceOps.Linear(Doubles(x), Held(WeightFormat.BF16, bytes, 20 * columns), columns, null, null));
    }

    [Test]
    public void Stacked_parts_write_their_own_columns_with_bias_and_residual([Values(1, 9)] int tokens, [Values(0, 2)] int padding)
    {
        const int Columns = 512;
        (WeightFormat Format, int Rows)[] shapes = [(WeightFormat.Q4_K, 40), (WeightFormat.Q4_K, 100), (WeightFormat.Q6_K, 7), (WeightFormat.F32, 5)];
        (WeightFormat Format, byte[] Bytes)[] parts = Array.ConvertAll(shapes, part => (part.Format, StoredWeights.Random(new Random(part.Rows), part.Format, part.Rows * Columns)));
        double[] matrix = [.. parts.SelectMany((part, i) => Held(part.Format, part.Bytes, shapes[i].Rows * Columns))];
        float[] x = Activations(tokens * Columns, 1), bias = Activations(152, 2), residual = Activations(tokens * 152, 3);
        using DeviceProduct product = new(_device, Columns, 3, tokens, parts);
        float[] actual = product.Run(x, bias: bias, residual: residual, padding: padding);
        AssertClose(actual, ReferenceOps.Linear(Doubles(x), matrix, Columns, Doubles(bias), Doubles(residual)));
    }

    [Test]
    public void Results_are_rounded_to_bf16_once([Values(0, 1)] int padding)
    {
        const int Columns = 64;
        byte[] bytes = StoredWeights.Random(new Random(4), WeightFormat.Q8_0, 48 * Columns);
        float[] x = Activations(5 * Columns, 5), bias = Activations(48, 6);
        using DeviceProduct product = new(_device, Columns, 1, 5, (WeightFormat.Q8_0, bytes));
        float[] expected = Array.ConvertAll(product.Run(x, bias: bias), BFloat16Values.Round);
        Assert.That(product.Run(x, DType.BF16, bias, padding: padding), Is.EqualTo(expected));
    }

    [Test]
    public void A_row_is_the_same_bit_for_bit_whatever_shares_the_call([GgufFormats] WeightFormat format)
    {
        // Beyond 256 tokens one CTA goes through all splits.
        const int Rows = 20, Columns = 512, MostTokens = 260;
        byte[] bytes = StoredWeights.Random(new Random(7), format, Rows * Columns);
        float[] x = Activations(MostTokens * Columns, 8);
        using DeviceProduct product = new(_device, Columns, 3, MostTokens, (format, bytes));
        float[] all = product.Run(x);
        foreach (int tokens in new[] { 1, 8, 9, 17, 33, 65 })
        {
            // The last rows, so that a row changes its place in its tile as well.
            float[] some = product.Run(x.AsSpan((MostTokens - tokens) * Columns));
            Assert.That(some.AsSpan().SequenceEqual(all.AsSpan((MostTokens - tokens) * Rows)), $"{tokens} tokens");
        }
    }

    [Test]
    public void Extreme_quants_and_scales_keep_their_value(
        [Values(WeightFormat.Q8_0, WeightFormat.Q6_K, WeightFormat.Q4_0, WeightFormat.Q4_K)] WeightFormat format,
        [Values(0x00, 0x80, 0xFF, 0x7F)] int quants,
        [Values(0x0001, 0x03FF, 0x7BFF, 0xFBFF)] int scale)
    {
        const int Rows = 17, Columns = 256;
        byte[] bytes = new byte[format.Bytes(Rows * Columns)];
        Array.Fill(bytes, (byte)quants);
        for (int block = 0; block < bytes.Length; block += format.BlockBytes())
        {
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(block + (format == WeightFormat.Q6_K ? 208 : 0)), (ushort)scale);
            if (format == WeightFormat.Q4_K)
            {
                BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(block + 2), (ushort)(scale ^ 0x8000));
            }
        }
        float[] x = Activations(2 * Columns, 9);
        using DeviceProduct product = new(_device, Columns, 0, 2, (format, bytes));
        AssertClose(product.Run(x), ReferenceOps.Linear(Doubles(x), Held(format, bytes, Rows * Columns), Columns, null, null));
    }

    [Test]
    public void Values_that_are_not_finite_spoil_their_own_row_only([GgufFormats] WeightFormat format)
    {
        const int Rows = 16, Columns = 256;
        byte[] bytes = StoredWeights.Random(new Random(10), format, Rows * Columns);
        float[] x = Activations(3 * Columns, 11);
        using DeviceProduct product = new(_device, Columns, 2, 3, (format, bytes));
        float[] clean = product.Run(x);
        x[Columns + 77] = float.NaN;
        float[] spoilt = product.Run(x);
        Assert.That(spoilt[Rows..(2 * Rows)], Has.None.Matches<float>(float.IsFinite));
        Assert.That(spoilt[..Rows], Is.EqualTo(clean[..Rows]));
        Assert.That(spoilt[(2 * Rows)..], Is.EqualTo(clean[(2 * Rows)..]));
    }

    [Test]
    public void A_launch_allocates_nothing([Values(1, 65, 300)] int tokens)
    {
        byte[] bytes = StoredWeights.Random(new Random(12), WeightFormat.Q4_0, 16 * 512);
        using DeviceProduct product = new(_device, 512, 2, tokens, (WeightFormat.Q4_0, bytes));
        Assert.That(product.AllocatedBytesOfLaunch(tokens), Is.Zero);
    }

    [TestCase(1, 1, 1)]
    [TestCase(8, 5, 5)]
    [TestCase(1002, 32, 1)]
    public void Splits_are_bounded_by_the_chunks_and_need_free_multiprocessors(int blocks, int chunks, int most) =>
        Assert.That(SplitCount.Choose(blocks, chunks, 132), Is.InRange(1, most));

    [TestCase(32, 128)]
    [TestCase(8, 128)]
    public void Few_blocks_of_long_rows_are_split_over_the_device(int blocks, int chunks) =>
        Assert.That(blocks * SplitCount.Choose(blocks, chunks, 132), Is.GreaterThanOrEqualTo(132 / 2));

    private static float[] Activations(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => BFloat16Values.Round((float)(random.NextDouble() * 2 - 1)))];
    }

    /// <summary>The weights as the device holds them: F32 ones rounded to BF16, the others exact.</summary>
    private static double[] Held(WeightFormat format, byte[] bytes, int elements)
    {
        double[] values = StoredWeights.Decode(format, bytes, elements);
        return format == WeightFormat.F32 ? Array.ConvertAll(values, value => (double)BFloat16Values.Round((float)value)) : values;
    }

    private static double[] Doubles(float[] values) => Array.ConvertAll(values, value => (double)value);

    private void AssertClose(float[] actual, double[] expected) =>
        Assert.That(Tolerances.NormalizedMeanSquareError(actual, expected), Is.LessThan(Tolerances.TensorCores(kind)));
}
