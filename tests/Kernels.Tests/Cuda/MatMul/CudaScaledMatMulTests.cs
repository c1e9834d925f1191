namespace LlamaServe.Kernels.Tests.Cuda.MatMul;

/// <summary>Products with weights whose scales lie beside them.</summary>
[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
public sealed class CudaScaledMatMulTests(string kind)
{
    private TestDevice _device = null!;

    /// <summary>One of each layout, group sizes that are cut into others' among them.</summary>
    private static readonly object[] Layouts =
    [
        new object[] { WeightFormat.Int4, 0, false, "int4_row" },
        new object[] { WeightFormat.Int4, 768, false, "int4_row" },
        new object[] { WeightFormat.Int4, 128, false, "int4_g128" },
        new object[] { WeightFormat.Int4, 64, false, "int4_g64" },
        new object[] { WeightFormat.Int4, 192, false, "int4_g64" },
        new object[] { WeightFormat.Int4, 32, false, "int4_g32" },
        new object[] { WeightFormat.Int4, 96, false, "int4_g32" },
        new object[] { WeightFormat.Int4, 0, true, "int4_zeros_g128" },
        new object[] { WeightFormat.Int4, 128, true, "int4_zeros_g128" },
        new object[] { WeightFormat.Int4, 64, true, "int4_zeros_g64" },
        new object[] { WeightFormat.Int4, 32, true, "int4_zeros_g32" },
        new object[] { WeightFormat.Int8, 0, false, "int8_row" },
        new object[] { WeightFormat.Int8, 128, false, "int8_g64" },
        new object[] { WeightFormat.Int8, 32, false, "int8_g32" },
        new object[] { WeightFormat.Int8, 0, true, "int8_zeros_g32" },
        new object[] { WeightFormat.Int8, 128, true, "int8_zeros_g32" },
    ];

    [SetUp]
    public void RequireDevice() => _device = TestDevice.Require(kind);

    [TestCaseSource(nameof(Layouts))]
    public void Products_match_double_precision(WeightFormat format, int groupSize, bool hasZeroPoints, string layout)
    {
        // Rows that fill neither blocks nor vectors.
        const int Rows = 131, Columns = 768;
        ScaledWeights weights = new(format, Rows, Columns, groupSize, hasZeroPoints, seed: 1);
        using DeviceProduct product = new(_device, 2, 65, weights.Data);
        Assert.That(product.Weight.Segments[0].Layout.Name, Is.EqualTo(layout));
        double[] matrix = weights.Values();
        foreach (int tokens in new[] { 1, 9, 17, 65 })
        {
            float[] x = Activations(tokens * Columns, tokens), bias = Activations(Rows, 2), residual = Activations(tokens * Rows, 3);
            float[] actual = product.Run(x, bias: bias, residual: residual, padding: 3);
            AssertClose(actual, ReferenceOps.Linear(Doubles(x), matrix, Columns, Doubles(bias), Doubles(residual)));
        }
    }

    [TestCaseSource(nameof(Layouts))]
    public void A_row_is_the_same_bit_for_bit_whatever_shares_the_call(WeightFormat format, int groupSize, bool hasZeroPoints, string layout)
    {
        // Beyond 256 tokens one CTA goes through all splits. Rows that allow accesses of four elements.
        const int Rows = 20, Columns = 768, MostTokens = 260;
        ScaledWeights weights = new(format, Rows, Columns, groupSize, hasZeroPoints, seed: 4);
        float[] x = Activations(MostTokens * Columns, 5);
        using DeviceProduct product = new(_device, 3, MostTokens, weights.Data);
        float[] all = product.Run(x);
        Assert.That(layout, Is.Not.Empty);
        AssertClose(all, ReferenceOps.Linear(Doubles(x), weights.Values(), Columns, null, null));
        foreach (int tokens in new[] { 1, 8, 9, 17, 33, 65 })
        {
            float[] some = product.Run(x.AsSpan((MostTokens - tokens) * Columns));
            Assert.That(some.AsSpan().SequenceEqual(all.AsSpan((MostTokens - tokens) * Rows)), $"{tokens} tokens");
        }
    }

    [Test]
    public void Scales_of_F16_and_BF16_keep_their_bits([Values(0, 128)] int groupSize, [Values] bool isBfloat16)
    {
        // Far apart within a row, down to F16's subnormal numbers.
        ScaledWeights weights = new(WeightFormat.Int4, 16, 512, groupSize, false, 6, random =>
        {
            double value = (random + 1) * Math.Pow(2, -10 - Math.Floor(random * 1000) % 12);
            return isBfloat16 ? BFloat16Values.Round((float)(value * 1e-20)) : (double)(Half)value;
        });
        using DeviceProduct product = new(_device, 0, 4, weights.Data);
        float[] x = new float[4 * 512];
        for (int group = 0; group < 4; group++)
        {
            x[group * 512 + 128 * group + 5] = 1;
        }
        float[] expected = [.. ReferenceOps.Linear(Doubles(x), weights.Values(), 512, null, null).Select(value => (float)value)];
        Assert.That(product.Run(x), Is.EqualTo(expected));
    }

    [Test]
    public void Parts_of_different_groups_stack_and_rows_need_not_fill_a_chunk()
    {
        const int Columns = 96;
        ScaledWeights[] parts = [new(WeightFormat.Int4, 5, Columns, 32, true, 7), new(WeightFormat.Int4, 9, Columns, 32, true, 8), new(WeightFormat.Int8, 7, Columns, 0, false, 9), new(WeightFormat.Int4, 3, Columns, 0, false, 10)];
        using DeviceProduct product = new(_device, 0, 3, [.. parts.Select(part => part.Data)]);
        Assert.That(product.Weight.Segments.Length, Is.EqualTo(3));
        float[] x = Activations(3 * Columns, 11);
        AssertClose(product.Run(x), ReferenceOps.Linear(Doubles(x), [.. parts.SelectMany(part => part.Values())], Columns, null, null));
    }

    [TestCase(WeightFormat.Int4, 70)]
    [TestCase(WeightFormat.Int8, 37)]
    public void One_group_a_row_takes_rows_of_any_length(WeightFormat format, int columns)
    {
        ScaledWeights weights = new(format, 18, columns, 0, false, 12);
        using DeviceProduct product = new(_device, 0, 2, weights.Data);
        float[] x = Activations(2 * columns, 13);
        AssertClose(product.Run(x), ReferenceOps.Linear(Doubles(x), weights.Values(), columns, null, null));
    }

    [Test]
    public void A_value_that_is_not_finite_spoils_its_own_row_only()
    {
        ScaledWeights weights = new(WeightFormat.Int4, 16, 256, 128, true, 14);
        using DeviceProduct product = new(_device, 2, 2, weights.Data);
        float[] x = Activations(2 * 256, 15), clean = product.Run(x);
        x[77] = float.NaN;
        float[] spoilt = product.Run(x);
        Assert.That(spoilt[..16], Is.All.NaN);
        Assert.That(spoilt[16..], Is.EqualTo(clean[16..]));
    }

    private static float[] Activations(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => BFloat16Values.Round((float)(random.NextDouble() * 2 - 1)))];
    }

    private static double[] Doubles(float[] values) => Array.ConvertAll(values, value => (double)value);

    private void AssertClose(float[] actual, double[] expected) =>
        Assert.That(Tolerances.NormalizedMeanSquareError(actual, expected), Is.LessThan(Tolerances.TensorCores(kind)));
}
