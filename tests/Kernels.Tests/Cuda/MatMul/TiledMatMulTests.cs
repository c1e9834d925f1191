using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Compilation;

namespace LlamaServe.Kernels.Tests.Cuda.MatMul;

/// <summary>BF16 and W8A8 products: mma.sync for sm_80 and sm_89, wgmma for sm_90a.</summary>
[TestFixture(TestDevice.Emulated, "sm_80", Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Emulated, "sm_89", Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Emulated, "sm_90a", Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, "", Category = Toolchain.Gpu)]
public sealed class TiledMatMulTests(string kind, string architectureName)
{
    private TestDevice _device = null!;

    private GpuArchitecture? Architecture =>
        architectureName.Length == 0 ? null : GpuArchitectures.All.Single(architecture => architecture.Name() == architectureName);

    private bool HasFp8 => (Architecture ?? GpuArchitectures.Of(_device.Context.Device)) != GpuArchitecture.Sm80;

    [SetUp]
    public void RequireDevice() => _device = TestDevice.Require(kind);

    [Test]
    public void Products_match_double_precision(
        [Values(WeightFormat.BF16, WeightFormat.Int8Dynamic, WeightFormat.Fp8)] WeightFormat format, [Values(1, 7, 8, 9, 33, 65, 130)] int tokens, [Values(1, 2)] int splits)
    {
        // Rows that fill neither tiles nor vectors; columns that fill no chunk and no sixteen bytes.
        const int Rows = 131, Columns = 300;
        RequireFormat(format);
        float[] x = Activations(tokens * Columns, tokens);
        using TiledProduct product = new(_device, Architecture, format, Columns, splits, tokens, TiledProduct.Random(format, Rows * Columns, 1));
        AssertClose(product.Run(x, padding: 3), product.Expected(x), format);
    }

    [Test]
    public void Bias_and_residual_are_added([Values(WeightFormat.BF16, WeightFormat.Int8Dynamic, WeightFormat.Fp8)] WeightFormat format, [Values(1, 9, 130)] int tokens, [Values(0, 2)] int padding)
    {
        const int Rows = 72, Columns = 160;
        RequireFormat(format);
        float[] x = Activations(tokens * Columns, 1), bias = Activations(Rows, 2), residual = Activations(tokens * Rows, 3);
        using TiledProduct product = new(_device, Architecture, format, Columns, 1, tokens, TiledProduct.Random(format, Rows * Columns, 4));
        AssertClose(product.Run(x, bias: bias, residual: residual, padding: padding), product.Expected(x, bias, residual), format);
    }

    [Test]
    public void Results_are_rounded_to_bf16_once([Values(0, 1)] int padding)
    {
        const int Rows = 132, Columns = 128;
        float[] x = Activations(5 * Columns, 5), bias = Activations(Rows, 6);
        using TiledProduct product = new(_device, Architecture, WeightFormat.Int8Dynamic, Columns, 1, 5, TiledProduct.Random(WeightFormat.Int8Dynamic, Rows * Columns, 5));
        float[] expected = Array.ConvertAll(product.Run(x, bias: bias), BFloat16Values.Round);
        Assert.That(product.Run(x, DType.BF16, bias, padding: padding), Is.EqualTo(expected));
    }

    [Test]
    public void A_row_is_the_same_bit_for_bit_whatever_shares_the_call(
        [Values(WeightFormat.BF16, WeightFormat.Int8Dynamic, WeightFormat.Fp8)] WeightFormat format, [Values(1, 3)] int splits)
    {
        // Beyond 256 tokens one CTA goes through all splits; with few multiprocessors it computes several tiles, wide ones where it may.
        const int Rows = 20, Columns = 640, MostTokens = 270;
        RequireFormat(format);
        float[] x = Activations(MostTokens * Columns, 8);
        byte[] elements = TiledProduct.Random(format, Rows * Columns, 7);
        using TiledProduct product = new(_device, Architecture, format, Columns, splits, MostTokens, elements);
        using TiledProduct narrow = new(_device, Architecture, format, Columns, splits, MostTokens, elements, multiprocessors: 132);
        float[] all = product.Run(x);
        AssertClose(all, product.Expected(x), format);
        Assert.That(narrow.Run(x).AsSpan().SequenceEqual(all), "other tiles for as many tokens");
        foreach (int tokens in new[] { 1, 8, 9, 17, 33, 65, 200 })
        {
            // The last rows, so that a row changes its place in its tile as well.
            float[] some = product.Run(x.AsSpan((MostTokens - tokens) * Columns));
            Assert.That(some.AsSpan().SequenceEqual(all.AsSpan((MostTokens - tokens) * Rows)), $"{tokens} tokens");
        }
    }

    [Test]
    public void Many_tiles_of_both_directions_are_all_computed([Values(WeightFormat.BF16, WeightFormat.Int8Dynamic, WeightFormat.Fp8)] WeightFormat format)
    {
        const int Rows = 300, Columns = 256, Tokens = 530;
        RequireFormat(format);
        float[] x = Activations(Tokens * Columns, 9);
        using TiledProduct product = new(_device, Architecture, format, Columns, 1, Tokens, TiledProduct.Random(format, Rows * Columns, 9));
        AssertClose(product.Run(x), product.Expected(x), format);
    }

    [Test]
    public void Extreme_elements_keep_their_value([Values(WeightFormat.Int8Dynamic, WeightFormat.Fp8)] WeightFormat format, [Values(1, 40)] int tokens)
    {
        const int Rows = 130, Columns = 1024;
        RequireFormat(format);
        byte[] elements = [.. Enumerable.Range(0, Rows * Columns).Select(i => format == WeightFormat.Fp8 ? (byte)(i / Columns % 2 == 0 ? 0x7E : 0xFE) : (byte)(i / Columns % 2 == 0 ? 0x80 : 0x7F))];
        float[] x = [.. Enumerable.Range(0, tokens * Columns).Select(i => i / Columns % 2 == 0 ? 1e28f : -1e-28f)];
        using TiledProduct product = new(_device, Architecture, format, Columns, 2, tokens, elements);
        float[] actual = product.Run(x);
        double[] expected = product.Expected(x);
        for (int at = 0; at < actual.Length; at += Rows)
        {
            AssertClose(actual[at..(at + Rows)], expected[at..(at + Rows)], format);
        }
    }

    [Test]
    public void Rows_of_zeros_give_the_bias_alone([Values(WeightFormat.BF16, WeightFormat.Int8Dynamic, WeightFormat.Fp8)] WeightFormat format)
    {
        const int Rows = 17, Columns = 128;
        RequireFormat(format);
        float[] bias = Activations(Rows, 3);
        using TiledProduct product = new(_device, Architecture, format, Columns, 1, 2, TiledProduct.Random(format, Rows * Columns, 2));
        Assert.That(product.Run(new float[2 * Columns], bias: bias), Is.EqualTo((float[])[.. bias, .. bias]));
    }

    [Test]
    public void Values_that_are_not_finite_spoil_their_own_row_only(
        [Values(WeightFormat.BF16, WeightFormat.Int8Dynamic, WeightFormat.Fp8)] WeightFormat format, [Values(float.NaN, float.PositiveInfinity)] float value)
    {
        const int Rows = 16, Columns = 256;
        RequireFormat(format);
        float[] x = Activations(3 * Columns, 11);
        using TiledProduct product = new(_device, Architecture, format, Columns, 2, 3, TiledProduct.Random(format, Rows * Columns, 10));
        float[] clean = product.Run(x);
        x[Columns + 77] = value;
        float[] spoilt = product.Run(x);
        Assert.That(spoilt[Rows..(2 * Rows)], Has.None.Matches<float>(float.IsFinite));
        Assert.That(spoilt[..Rows], Is.EqualTo(clean[..Rows]));
        Assert.That(spoilt[(2 * Rows)..], Is.EqualTo(clean[(2 * Rows)..]));
    }

    [Test]
    public void Int8_gives_the_same_bits_on_every_architecture([Values(3, 70, 200)] int tokens)
    {
        const int Rows = 70, Columns = 400;
        if (kind == TestDevice.Gpu)
        {
            Assert.Ignore("a GPU runs one architecture's kernels; the emulated device compares them");
        }
        float[] x = Activations(tokens * Columns, 12);
        byte[] elements = TiledProduct.Random(WeightFormat.Int8Dynamic, Rows * Columns, 13);
        using TiledProduct here = new(_device, Architecture, WeightFormat.Int8Dynamic, Columns, 2, tokens, elements);
        using TiledProduct hopper = new(_device, GpuArchitecture.Sm90a, WeightFormat.Int8Dynamic, Columns, 1, tokens, elements);
        Assert.That(here.Run(x), Is.EqualTo(hopper.Run(x)));
    }

    [Test]
    public void Gates_and_ups_in_turns_give_the_activation(
        [Values(WeightFormat.BF16, WeightFormat.Int8Dynamic, WeightFormat.Fp8)] WeightFormat format,
        [Values(1, 9, 40, 70, 130)] int tokens,
        [Values(1, 2)] int splits,
        [Values(64, 75)] int features)
    {
        const int Columns = 296;
        RequireFormat(format);
        float[] x = Activations(tokens * Columns, 15);
        byte[] elements = TiledProduct.Random(format, 2 * features * Columns, 16);
        using TiledProduct product = new(_device, Architecture, format, Columns, splits, tokens, elements, isGated: true);
        Assert.That(product.Rows, Is.EqualTo(features));
        AssertClose(product.Run(x, padding: 1), product.Expected(x), format);
    }

    [Test]
    public void A_gated_row_is_the_same_bit_for_bit_whatever_shares_the_call(
        [Values(WeightFormat.BF16, WeightFormat.Int8Dynamic, WeightFormat.Fp8)] WeightFormat format)
    {
        const int Features = 40, Columns = 256, MostTokens = 262;
        RequireFormat(format);
        float[] x = Activations(MostTokens * Columns, 17);
        byte[] elements = TiledProduct.Random(format, 2 * Features * Columns, 18);
        using TiledProduct product = new(_device, Architecture, format, Columns, 2, MostTokens, elements, multiprocessors: 1, isGated: true);
        float[] all = product.Run(x, DType.BF16);
        foreach (int tokens in new[] { 1, 9, 40, 100 })
        {
            float[] some = product.Run(x.AsSpan((MostTokens - tokens) * Columns), DType.BF16);
            Assert.That(some.AsSpan().SequenceEqual(all.AsSpan((MostTokens - tokens) * Features)), $"{tokens} tokens");
        }
    }

    [Test]
    public void Launches_allocate_nothing([Values(WeightFormat.BF16, WeightFormat.Int8Dynamic)] WeightFormat format, [Values(1, 65, 300)] int tokens)
    {
        using TiledProduct product = new(_device, Architecture, format, 256, 2, tokens, TiledProduct.Random(format, 16 * 256, 14));
        Assert.That(product.AllocatedBytes(tokens), Is.Zero);
    }

    [Test]
    public void What_a_device_lacks_is_refused_by_name()
    {
        Assert.That(() => TiledFormat.Of(WeightFormat.Fp8, GpuArchitecture.Sm80), Throws.ArgumentException.With.Message.Contains("8.9").And.Message.Contains("sm_80"));
        Assert.That(TiledFormat.Of(WeightFormat.Fp8, GpuArchitecture.Sm89), Is.SameAs(TiledFormat.Fp8));
        Assert.That(TiledFormat.Of(WeightFormat.Q8_0, GpuArchitecture.Sm80), Is.Null);
    }

    private void RequireFormat(WeightFormat format)
    {
        if (format == WeightFormat.Fp8 && !HasFp8)
        {
            Assert.Ignore("sm_80 has no FP8, which What_a_device_lacks_is_refused_by_name checks");
        }
    }

    private static float[] Activations(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => BFloat16Values.Round((float)(random.NextDouble() * 2 - 1)))];
    }

    private void AssertClose(float[] actual, double[] expected, WeightFormat format) =>
        Assert.That(Tolerances.NormalizedMeanSquareError(actual, expected), Is.LessThan(Tolerances.TensorCores(kind, format)));
}
