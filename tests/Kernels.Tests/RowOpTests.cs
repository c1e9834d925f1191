using LlamaServe.Kernels.Tests.Cuda;

namespace LlamaServe.Kernels.Tests;

[TestFixture("cpu")]
[TestFixture("cpu-portable")]
[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
internal sealed class RowOpTests(string backendName) : OpTests(backendName)
{
    [Test]
    public void Embed_decodes_the_rows_of_every_format([GgufFormats] WeightFormat format)
    {
        const int Rows = 11, Columns = 512;
        byte[] bytes = StoredWeights.Random(new Random(1), format, Rows * Columns);
        using Weight table = Backend.LoadEmbedding(Stored(format, Rows, Columns, bytes), alsoLinear: false);
        int[] ids = [10, 0, 3, 3, 7];
        double[] all = StoredWeights.Decode(format, bytes, Rows * Columns);
        double[] expected = [.. ids.SelectMany(id => all.AsSpan(id * Columns, Columns).ToArray())];
        AssertClose(Download(Backend.Embed(Batch(ids), table)), expected, Tolerance(Tolerances.F32));
    }

    [Test]
    public void RmsNorm_agrees_with_the_reference([Values(1, 7, 8, 64, 80, 2048, 2049)] int columns, [Values(1, 3, 200)] int rows)
    {
        Random random = new(columns);
        float[] x = Uniform(random, rows * columns, 5), gain = Uniform(random, columns);
        using Weight weight = Vector(gain);
        float[] y = Download(Backend.RmsNorm(Upload(x, rows, columns, padding: 5), weight, 1e-5f));
        AssertClose(y, ReferenceOps.RmsNorm(Doubles(x), Doubles(gain), 1e-5f), Tolerance(Tolerances.F32));
    }

    [TestCase(WeightFormat.F16)]
    [TestCase(WeightFormat.BF16)]
    public void Vectors_stack_and_load_from_half_precision(WeightFormat format)
    {
        byte[] first = StoredWeights.Random(new Random(2), format, 24), second = StoredWeights.Random(new Random(3), format, 40);
        using Weight gain = Backend.LoadVector([Stored(format, 1, 24, first), Stored(format, 1, 40, second)]);
        float[] x = Uniform(new Random(4), 64);
        double[] expected = [.. StoredWeights.Decode(format, first, 24), .. StoredWeights.Decode(format, second, 40)];
        AssertClose(Download(Backend.RmsNorm(Upload(x, 1, 64), gain, 1e-6f)), ReferenceOps.RmsNorm(Doubles(x), expected, 1e-6f), Tolerance(Tolerances.F32));
    }

    [Test]
    public void GatedActivation_agrees_with_the_reference([Values(2, 14, 128, 8192)] int columns, [Values(1, 33)] int rows)
    {
        float[] x = Uniform(new Random(columns), rows * columns, 12);
        AssertClose(
            Download(Backend.GatedActivation(Upload(x, rows, columns, padding: 1))), ReferenceOps.GatedActivation(Doubles(x), columns), Tolerances.F32);
    }

    [Test]
    public void GatedActivation_has_no_gate_too_large()
    {
        float[] x = [float.MinValue, -1000, -88.5f, 88.5f, 1000, 1e30f, 1, 1, 1, 1, 1, 1];
        float[] y = Download(Backend.GatedActivation(Upload(x, 1, 12)));
        Assert.That(y[..3], Is.All.InRange(-1e-30f, 0f));
        Assert.That(y[3..], Is.EqualTo(new[] { 88.5f, 1000, 1e30f }));
    }

    [Test]
    public void GatherRows_copies_the_rows_that_need_logits()
    {
        float[] x = Uniform(new Random(6), 7 * 10);
        ForwardBatch batch = new(7, 3, 1);
        batch.Add([1, 2, 3], 0, [0], 16, 2);
        batch.Add([4], 0, [1], 16, 1);
        batch.Add([5, 6, 7], 0, [2], 16, 0);
        float[] y = Download(Backend.GatherRows(Upload(x, 7, 10, padding: 2), batch));
        Assert.That(y, Is.EqualTo((float[])[.. x[20..30], .. x[40..70]]));
    }

    [Test]
    public void Rows_do_not_change_a_bit_with_their_neighbours()
    {
        const int Columns = 704;
        int rows = Times(64, onCuda: 8);
        float[] x = Uniform(new Random(8), rows * Columns);
        using Weight gain = Vector(Uniform(new Random(9), Columns));
        float[] norms = Download(Backend.RmsNorm(Upload(x, rows, Columns), gain, 1e-5f));
        float[] gated = Download(Backend.GatedActivation(Upload(x, rows, Columns)));
        for (int row = 0; row < rows; row++)
        {
            Tensor alone = Upload(x.AsSpan(row * Columns, Columns), 1, Columns);
            Assert.That(Download(Backend.RmsNorm(alone, gain, 1e-5f)), Is.EqualTo(norms[(row * Columns)..((row + 1) * Columns)]));
            Assert.That(Download(Backend.GatedActivation(alone)), Is.EqualTo(gated[(row * Columns / 2)..((row + 1) * Columns / 2)]));
        }
    }

    [Test]
    public void Equal_steps_get_equal_addresses_and_layers_take_turns()
    {
        Tensor x = Upload(new float[64], 1, 64);
        Tensor hidden = Backend.GatedActivation(x);
        Backend.BeginLayer();
        Tensor first = Backend.GatedActivation(x), second = Backend.GatedActivation(x);
        Backend.BeginLayer();
        Tensor third = Backend.GatedActivation(x);
        Backend.BeginLayer();
        Tensor fourth = Backend.GatedActivation(x);
        Assert.That(new[] { first, second, hidden }, Is.Unique);
        Assert.That(third, Is.EqualTo(hidden));
        Assert.That(fourth, Is.EqualTo(first));
        Backend.ResetStep();
        Assert.That(Backend.GatedActivation(x), Is.EqualTo(hidden));
        Assert.That((long)hidden.Address % 64, Is.Zero);
    }

    [Test]
    public void Large_results_fit_an_arena_that_was_never_reserved()
    {
        using Weight gain = Vector(new float[1 << 16]);
        Tensor x = Upload(new float[1 << 20], 16, 1 << 16);
        Tensor first = Backend.RmsNorm(x, gain, 1), second = Backend.RmsNorm(x, gain, 1);
        Assert.That((long)Math.Abs(second.Address - first.Address), Is.GreaterThanOrEqualTo(first.Type.Size() << 20));
        Backend.ResetStep();
        Assert.That((Backend.RmsNorm(x, gain, 1), Backend.RmsNorm(x, gain, 1)), Is.EqualTo((first, second)));
    }

    private static ForwardBatch Batch(int[] ids)
    {
        ForwardBatch batch = new(ids.Length, 1, 1);
        batch.Add(ids, 0, [0], 16, 0);
        return batch;
    }
}
