using System.Buffers.Binary;
using LlamaServe.Kernels.Tests.Cuda;

namespace LlamaServe.Kernels.Tests;

[TestFixture("cpu")]
[TestFixture("cpu-portable")]
[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
internal sealed class LinearTests(string backendName) : OpTests(backendName)
{
    private const int Columns = 512;

    [Test]
    public void Every_format_agrees_with_the_reference([GgufFormats] WeightFormat format, [Values(1, 3, 8, 33)] int rows, [Values(16, 17, 50)] int features)
    {
        Random random = new(rows);
        byte[] bytes = StoredWeights.Random(random, format, features * Columns);
        using Weight weight = Backend.LoadLinear([Stored(format, features, Columns, bytes)]);
        float[] x = Uniform(random, rows * Columns);
        float[] y = Download(Backend.Linear(Upload(x, rows, Columns, padding: 16), weight));
        AssertClose(y, ReferenceOps.Linear(Doubles(x), StoredWeights.Decode(format, bytes, features * Columns), Columns, null, null), Tolerance(Tolerances.Of(format)));
    }

    [Test]
    public void Stacked_parts_of_different_formats_write_their_own_columns([Values(1, 9)] int rows)
    {
        Random random = new(5);
        (WeightFormat Format, int Rows)[] parts = [(WeightFormat.Q4_K, 40), (WeightFormat.Q4_K, 20), (WeightFormat.Q6_K, 7), (WeightFormat.F32, 3)];
        byte[][] bytes = Array.ConvertAll(parts, part => StoredWeights.Random(random, part.Format, part.Rows * Columns));
        using Weight weight = Backend.LoadLinear([.. parts.Zip(bytes, (part, content) => Stored(part.Format, part.Rows, Columns, content))]);
        int features = parts.Sum(part => part.Rows);
        Assert.That((weight.Rows, weight.Columns), Is.EqualTo((features, Columns)));

        float[] x = Uniform(random, rows * Columns), bias = Uniform(random, features, 30), residual = Uniform(random, rows * features, 30);
        double[] matrix = [.. parts.Zip(bytes).SelectMany(item => StoredWeights.Decode(item.First.Format, item.Second, item.First.Rows * Columns))];
        using Weight biasVector = Vector(bias);
        float[] y = Download(Backend.Linear(Upload(x, rows, Columns), weight, biasVector, Upload(residual, rows, features, padding: 3)));
        AssertClose(y, ReferenceOps.Linear(Doubles(x), matrix, Columns, Doubles(bias), Doubles(residual)), Tolerances.Int8);
    }

    [Test]
    public void Formats_with_separate_scales_agree_with_the_reference(
        [Values(WeightFormat.Int4, WeightFormat.Int8)] WeightFormat format, [Values(0, 32, 64, 128)] int groupSize, [Values] bool hasZeroPoints)
    {
        const int Features = 37, Rows = 9;
        ScaledWeights weights = new(format, Features, Columns, groupSize, hasZeroPoints, seed: 11);
        using Weight matrix = Backend.LoadLinear([weights.Data]);
        float[] x = Uniform(new Random(12), Rows * Columns);
        double[] expected = ReferenceOps.Linear(Doubles(x), weights.Values(), Columns, null, null);
        AssertClose(Download(Backend.Linear(Upload(x, Rows, Columns), matrix)), expected, Tolerances.Int8);
    }

    [Test]
    public void Tied_tables_serve_both_look_up_and_projection([GgufFormats] WeightFormat format)
    {
        byte[] bytes = StoredWeights.Random(new Random(6), format, 33 * Columns);
        WeightData data = Stored(format, 33, Columns, bytes);
        using Weight tied = Backend.LoadEmbedding(data, alsoLinear: true), matrix = Backend.LoadLinear([data]);
        using Weight table = Backend.LoadEmbedding(data, alsoLinear: false);
        Tensor x = Upload(Uniform(new Random(7), 2 * Columns), 2, Columns);
        Assert.That(Download(Backend.Linear(x, tied)), Is.EqualTo(Download(Backend.Linear(x, matrix))));
        // A GPU keeps rows for the look-up beside the packed matrix.
        Assert.That(tied.ByteLength, Is.EqualTo(matrix.ByteLength + (IsCuda ? table.ByteLength : 0)));

        ForwardBatch batch = new(33, 1, 3);
        batch.Add(Enumerable.Range(0, 33).Reverse().ToArray(), 0, [0, 1, 2], 16, 0);
        Assert.That(Bits(Backend.Embed(batch, tied)), Is.EqualTo(Bits(Backend.Embed(batch, table))));
    }

    [TestCase(WeightFormat.F16)]
    [TestCase(WeightFormat.BF16)]
    [TestCase(WeightFormat.Q8_0)]
    [TestCase(WeightFormat.Q4_0)]
    public void Rows_out_of_panels_have_the_bits_of_the_checkpoint_for_every_half_and_every_quant(WeightFormat format)
    {
        // A row holds each 16-bit element or scale once, and between them each quant with many scales.
        int width = format.BlockElements() * (1 << 16) / 32;
        byte[] bytes = StoredWeights.Random(new Random(10), format, 32 * width);
        for (int half = 0; half < 1 << 16; half++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(half * format.BlockBytes()), (ushort)half);
        }
        WeightData data = Stored(format, 32, width, bytes);
        using Weight tied = Backend.LoadEmbedding(data, alsoLinear: true), table = Backend.LoadEmbedding(data, alsoLinear: false);
        ForwardBatch batch = new(32, 1, 2);
        batch.Add(Enumerable.Range(0, 32).ToArray(), 0, [0, 1], 16, 0);
        Assert.That(Bits(Backend.Embed(batch, tied)), Is.EqualTo(Bits(Backend.Embed(batch, table))));
    }

    [Test]
    public void Rows_do_not_change_a_bit_with_their_neighbours([GgufFormats] WeightFormat format)
    {
        int rows = Times(32, onCuda: 9);
        byte[] bytes = StoredWeights.Random(new Random(8), format, 48 * Columns);
        using Weight weight = Backend.LoadLinear([Stored(format, 48, Columns, bytes)]);
        float[] x = Uniform(new Random(9), rows * Columns);
        float[] together = Download(Backend.Linear(Upload(x, rows, Columns), weight));
        for (int row = 0; row < rows; row++)
        {
            float[] alone = Download(Backend.Linear(Upload(x.AsSpan(row * Columns, Columns), 1, Columns), weight));
            Assert.That(alone, Is.EqualTo(together[(row * 48)..((row + 1) * 48)]));
        }
    }

    /// <summary>Bit patterns: different for the two zeros, one for all NaNs.</summary>
    private int[] Bits(Tensor tensor) =>
        Array.ConvertAll(Download(tensor), value => BitConverter.SingleToInt32Bits(float.IsNaN(value) ? float.NaN : value));
}
