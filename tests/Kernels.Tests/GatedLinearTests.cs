using LlamaServe.Kernels.Tests.Cuda;

namespace LlamaServe.Kernels.Tests;

[TestFixture("cpu")]
[TestFixture("cpu-portable")]
[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
internal sealed class GatedLinearTests(string backendName) : OpTests(backendName)
{
    private const int Columns = 256;

    [Test]
    public void Every_format_agrees_with_the_reference([GgufFormats] WeightFormat format, [Values(1, 9, 66)] int rows, [Values(16, 67)] int features)
    {
        // Features that fill neither eights nor blocks, nor vectors.
        Random random = new(rows);
        byte[] gate = StoredWeights.Random(random, format, features * Columns), up = StoredWeights.Random(random, format, features * Columns);
        using Weight weight = Backend.LoadGatedLinear([Stored(format, features, Columns, gate)], [Stored(format, features, Columns, up)]);
        Assert.That((weight.Rows, weight.Columns), Is.EqualTo((features, Columns)));
        float[] x = Uniform(random, rows * Columns);
        double[] matrix = [.. StoredWeights.Decode(format, gate, features * Columns), .. StoredWeights.Decode(format, up, features * Columns)];
        AssertGated(x, rows, weight, matrix, Tolerances.Of(format));
    }

    [TestCase(WeightFormat.Int4, 0, false)]
    [TestCase(WeightFormat.Int4, 64, false)]
    [TestCase(WeightFormat.Int4, 128, true)]
    [TestCase(WeightFormat.Int8, 0, false)]
    [TestCase(WeightFormat.Int8, 64, true)]
    public void So_do_formats_with_separate_scales(WeightFormat format, int groupSize, bool hasZeroPoints)
    {
        const int Rows = 9, Features = 75;
        Func<double, double> scale = random => (random + 0.5) / 64;
        ScaledWeights gate = new(format, Features, Columns, groupSize, hasZeroPoints, 1, scale), up = new(format, Features, Columns, groupSize, hasZeroPoints, 2, scale);
        using Weight weight = Backend.LoadGatedLinear([gate.Data], [up.Data]);
        AssertGated(Uniform(new Random(3), Rows * Columns), Rows, weight, [.. gate.Values(), .. up.Values()], Tolerances.Int8);
    }

    [Test]
    public void Formats_and_parts_may_differ([Values(1, 9)] int rows)
    {
        Random random = new(5);
        (WeightFormat Format, int Rows)[] parts = [(WeightFormat.Q4_K, 24), (WeightFormat.Q6_K, 9), (WeightFormat.Q8_0, 33)];
        byte[][] bytes = Array.ConvertAll(parts, part => StoredWeights.Random(random, part.Format, part.Rows * Columns));
        WeightData[] data = [.. parts.Zip(bytes, (part, content) => Stored(part.Format, part.Rows, Columns, content))];
        using Weight weight = Backend.LoadGatedLinear(data.AsSpan(0, 2), data.AsSpan(2));
        double[] matrix = [.. parts.Zip(bytes).SelectMany(item => StoredWeights.Decode(item.First.Format, item.Second, item.First.Rows * Columns))];
        AssertGated(Uniform(random, rows * Columns), rows, weight, matrix, Tolerances.Int8);
    }

    [Test]
    public void Stacked_parts_of_one_format_are_one_matrix()
    {
        byte[] gate = StoredWeights.Random(new Random(6), WeightFormat.Q8_0, 40 * Columns), up = StoredWeights.Random(new Random(7), WeightFormat.Q8_0, 40 * Columns);
        int cut = (int)WeightFormat.Q8_0.Bytes(13 * Columns);
        using Weight whole = Backend.LoadGatedLinear([Stored(WeightFormat.Q8_0, 40, Columns, gate)], [Stored(WeightFormat.Q8_0, 40, Columns, up)]);
        using Weight parts = Backend.LoadGatedLinear(
            [Stored(WeightFormat.Q8_0, 13, Columns, gate.AsSpan(0, cut)), Stored(WeightFormat.Q8_0, 27, Columns, gate.AsSpan(cut))], [Stored(WeightFormat.Q8_0, 40, Columns, up)]);
        Tensor x = UploadRows(Uniform(new Random(8), 3 * Columns), 3, Columns);
        Assert.That(Download(Backend.GatedLinear(x, parts)), Is.EqualTo(Download(Backend.GatedLinear(x, whole))));
    }

    [Test]
    public void A_row_is_the_same_bit_for_bit_whatever_shares_the_call([Values(WeightFormat.BF16, WeightFormat.Q4_0, WeightFormat.Q4_K)] WeightFormat format)
    {
        const int Features = 72;
        int rows = Times(40, onCuda: 34);
        byte[] gate = StoredWeights.Random(new Random(9), format, Features * Columns), up = StoredWeights.Random(new Random(10), format, Features * Columns);
        using Weight weight = Backend.LoadGatedLinear([Stored(format, Features, Columns, gate)], [Stored(format, Features, Columns, up)]);
        float[] x = Uniform(new Random(11), rows * Columns);
        float[] together = Download(Backend.GatedLinear(UploadRows(x, rows, Columns), weight));
        foreach (int count in new[] { 1, 5, 9, 17 })
        {
            float[] some = Download(Backend.GatedLinear(UploadRows(x.AsSpan((rows - count) * Columns), count, Columns), weight));
            Assert.That(some, Is.EqualTo(together[((rows - count) * Features)..]), $"{count} rows");
        }
    }

    [Test]
    public void On_the_cpu_it_is_the_product_and_the_activation_bit_for_bit()
    {
        if (IsCuda)
        {
            Assert.Ignore("a GPU applies the activation before it rounds");
        }
        byte[] bytes = StoredWeights.Random(new Random(12), WeightFormat.Q4_0, 98 * Columns);
        int half = bytes.Length / 2;
        WeightData gate = Stored(WeightFormat.Q4_0, 49, Columns, bytes.AsSpan(0, half)), up = Stored(WeightFormat.Q4_0, 49, Columns, bytes.AsSpan(half));
        using Weight gated = Backend.LoadGatedLinear([gate], [up]), stacked = Backend.LoadLinear([gate, up]);
        Tensor x = Upload(Uniform(new Random(13), 7 * Columns), 7, Columns);
        Assert.That(Download(Backend.GatedLinear(x, gated)), Is.EqualTo(Download(Backend.GatedActivation(Backend.Linear(x, stacked)))));
        Assert.That(gated.ByteLength, Is.EqualTo(stacked.ByteLength));
    }

    [Test]
    public void What_does_not_fit_is_refused()
    {
        WeightData gate = Stored(WeightFormat.F32, 8, 16, new byte[512]), narrow = gate with { Name = "narrow", Rows = 16, Columns = 8 };
        Assert.That(() => Backend.LoadGatedLinear([gate], [narrow]), Throws.ArgumentException.With.Message.Contains("narrow is [16, 8]"));
        Assert.That(() => Backend.LoadGatedLinear([gate], []), Throws.ArgumentException.With.Message.Contains("part"));
        using Weight gated = Backend.LoadGatedLinear([gate], [gate]), matrix = Backend.LoadLinear([gate]);
        Tensor x = UploadRows(new float[32], 2, 16);
        Assert.That(() => Backend.GatedLinear(x, matrix), Throws.ArgumentException.With.Message.Contains("LoadGatedLinear"));
        Assert.That(() => Backend.Linear(x, gated), Throws.ArgumentException.With.Message.Contains("LoadLinear"));
        Assert.That(() => Backend.GatedLinear(UploadRows(new float[48], 2, 24), gated), Throws.ArgumentException.With.Message.Contains("x is"));
        Assert.That(Backend.GatedLinear(new Tensor(0, 0, 16, 16, RowType), gated).Rows, Is.Zero);
    }

    /// <param name="matrix">Gate over up.</param>
    private void AssertGated(float[] x, int rows, Weight weight, double[] matrix, double tolerance)
    {
        float[] y = Download(Backend.GatedLinear(Upload(x, rows, Columns), weight));
        double[] gateUp = ReferenceOps.Linear(Doubles(x), matrix, Columns, null, null);
        // Both factors carry the rounding of x.
        AssertClose(y, ReferenceOps.GatedActivation(gateUp, 2 * weight.Rows), 8 * Tolerance(tolerance));
    }
}
