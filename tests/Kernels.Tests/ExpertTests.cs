using System.Runtime.InteropServices;
using LlamaServe.Kernels.Tests.Cuda;

namespace LlamaServe.Kernels.Tests;

[TestFixture("cpu")]
[TestFixture("cpu-portable")]
[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
internal sealed class ExpertTests(string backendName) : OpTests(backendName)
{
    private const int Experts = 5, ExpertsPerToken = 2, Columns = 256;

    [Test]
    public void A_mixture_agrees_with_the_reference([GgufFormats] WeightFormat format, [Values(1, 9, 70)] int tokens, [Values] bool renormalize)
    {
        const int Inner = 256;
        tokens = Times(tokens, onCuda: Math.Min(tokens, 20));
        Random random = new(tokens);
        float[] x = Array.ConvertAll(Uniform(random, tokens * Columns), Rounded), residual = Uniform(random, tokens * Columns);
        byte[] router = StoredWeights.Random(random, WeightFormat.BF16, Experts * Columns);
        byte[][] gateUp = Matrices(random, format, 2 * Inner), down = Matrices(random, format, Columns, Inner);
        using Weight routerWeight = Backend.LoadLinear([Stored(WeightFormat.BF16, Experts, Columns, router)]);
        using Weight gateUpWeight = LoadExperts(format, gateUp, 2 * Inner, Columns), downWeight = LoadExperts(format, down, Columns, Inner);
        Tensor input = Upload(x, tokens, Columns);

        ExpertRouting routing = Backend.Route(input, routerWeight, ExpertsPerToken, renormalize);
        Tensor rows = Backend.ExpertLinear(input, gateUpWeight, routing);
        Tensor y = Backend.CombineExperts(Backend.GatedActivation(rows), downWeight, routing, Upload(residual, tokens, Columns));

        double[] logits = ReferenceOps.Linear(Doubles(x), StoredWeights.Decode(WeightFormat.BF16, router, Experts * Columns), Columns, null, null);
        List<(int Expert, int Token, double[] Row)> assignments = [];
        double[] expected = Doubles(residual);
        for (int token = 0; token < tokens; token++)
        {
            foreach ((int expert, double weight) in ReferenceOps.Route(logits[(token * Experts)..((token + 1) * Experts)], ExpertsPerToken, renormalize))
            {
                double[] row = ReferenceOps.Linear(
                    Doubles(x[(token * Columns)..((token + 1) * Columns)]), StoredWeights.Decode(format, gateUp[expert], 2 * Inner * Columns), Columns, null, null);
                double[] result = ReferenceOps.Linear(
                    ReferenceOps.GatedActivation(row, 2 * Inner), StoredWeights.Decode(format, down[expert], Columns * Inner), Inner, null, null);
                assignments.Add((expert, token, row));
                for (int i = 0; i < Columns; i++)
                {
                    expected[token * Columns + i] += weight * result[i];
                }
            }
        }
        double tolerance = Tolerance(Tolerances.Of(format));
        AssertClose(Download(rows), [.. assignments.OrderBy(assignment => (assignment.Expert, assignment.Token)).SelectMany(assignment => assignment.Row)], tolerance);
        AssertClose(Download(y), expected, 3 * tolerance);
    }

    [Test]
    public void Equal_logits_choose_the_lower_ids([Values(3, 64, 1024)] int experts, [Values] bool renormalize)
    {
        // Expert e answers e + 1 times the first element.
        float[] answers = new float[experts * 8], logits = new float[experts * 8];
        for (int expert = 0; expert < experts; expert++)
        {
            answers[expert * 8] = expert + 1;
        }
        logits[(experts - 1) * 8 + 1] = 1;
        using Weight router = LoadRouter(logits, experts), weight = LoadExperts(answers, experts, 1);
        // The second row's second element lifts the last expert above the others.
        Tensor x = Upload([1, 0, 0, 0, 0, 0, 0, 0, 1, 3, 0, 0, 0, 0, 0, 0], 2, 8);
        ExpertRouting routing = Backend.Route(x, router, 2, renormalize);
        Assert.That(Download(Backend.ExpertLinear(x, weight, routing)), Is.EqualTo(new float[] { 1, 1, 2, experts }));

        float[] rows = [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        float[] y = Download(Backend.CombineExperts(UploadRows(rows, 4, 8), weight, routing, Upload([0, 0], 2, 1)));
        double lifted = Math.Exp(3), each = 1.0 / (renormalize ? 2 : experts), all = lifted + (renormalize ? 1 : experts - 1);
        Assert.That(y[0], Is.EqualTo(each * 3).Within(0.001).Percent);
        Assert.That(y[1], Is.EqualTo((lifted * experts + 1) / all).Within(0.001).Percent);
    }

    [Test]
    public void Tokens_do_not_change_a_bit_with_their_neighbours([GgufFormats] WeightFormat format)
    {
        const int Inner = 256;
        int tokens = Times(60, onCuda: 20);
        Random random = new(3);
        float[] x = Uniform(random, tokens * Columns), residual = Uniform(random, tokens * Columns);
        using Weight router = LoadRouter(Uniform(random, Experts * Columns), Experts);
        using Weight gateUp = LoadExperts(format, Matrices(random, format, 2 * Inner), 2 * Inner, Columns);
        using Weight down = LoadExperts(format, Matrices(random, format, Columns, Inner), Columns, Inner);
        float[] together = Run(0, tokens);
        foreach ((int first, int count) in ((int, int)[])[(0, 1), (1, 9), (tokens - 10, 10), (7, 1)])
        {
            Assert.That(Run(first, count), Is.EqualTo(together[(first * Columns)..((first + count) * Columns)]));
        }

        float[] Run(int first, int count)
        {
            Tensor input = Upload(x.AsSpan(first * Columns, count * Columns), count, Columns);
            ExpertRouting routing = Backend.Route(input, router, ExpertsPerToken, renormalize: true);
            Tensor rows = Backend.GatedActivation(Backend.ExpertLinear(input, gateUp, routing));
            return Download(Backend.CombineExperts(rows, down, routing, Upload(residual.AsSpan(first * Columns, count * Columns), count, Columns)));
        }
    }

    [Test]
    public void Tokens_do_not_change_a_bit_with_the_rows_of_their_expert()
    {
        // On a GPU: tiles of 8, 16, 32 and 64 rows, splits of K with CTAs of their own and without.
        const int Wide = 512, Inner = 32, Tokens = 150;
        Random random = new(12);
        float[] x = Uniform(random, Tokens * Wide), residual = Uniform(random, Tokens * 24);
        using Weight router = LoadRouter(Uniform(random, Experts * Wide), Experts);
        using Weight first = LoadExperts(WeightFormat.Q4_0, Matrices(random, WeightFormat.Q4_0, Inner, Wide), Inner, Wide);
        using Weight second = LoadExperts(WeightFormat.BF16, Matrices(random, WeightFormat.BF16, 24, Inner), 24, Inner);
        float[] all = Run(Tokens);
        foreach (int tokens in (int[])[1, 9, 40, 80])
        {
            Assert.That(Run(tokens).AsSpan().SequenceEqual(all.AsSpan((Tokens - tokens) * 24)), $"{tokens} tokens");
        }

        float[] Run(int tokens)
        {
            Tensor input = Upload(x.AsSpan((Tokens - tokens) * Wide), tokens, Wide);
            ExpertRouting routing = Backend.Route(input, router, ExpertsPerToken, renormalize: false);
            return Download(Backend.CombineExperts(
                Backend.ExpertLinear(input, first, routing), second, routing, Upload(residual.AsSpan((Tokens - tokens) * 24), tokens, 24)));
        }
    }

    [TestCase(WeightFormat.Int4, 0, false)]
    [TestCase(WeightFormat.Int4, 64, true)]
    [TestCase(WeightFormat.Int8, 0, false)]
    public void Scales_beside_the_elements_are_each_expert_s_own(WeightFormat format, int groupSize, bool hasZeroPoints)
    {
        const int Rows = 130;
        ScaledWeights[] weights = [.. Enumerable.Range(0, Experts).Select(expert => new ScaledWeights(format, Rows, Columns, groupSize, hasZeroPoints, expert))];
        float[] x = Array.ConvertAll(Uniform(new Random(13), Columns), Rounded);
        using Weight router = LoadRouter(new float[Experts * Columns], Experts);
        using Weight weight = Backend.LoadExperts([.. weights.Select(expert => expert.Data)], Experts);
        Tensor input = Upload(x, 1, Columns);
        float[] y = Download(Backend.ExpertLinear(input, weight, Backend.Route(input, router, Experts, renormalize: true)));
        double[] expected = [.. weights.SelectMany(expert => ReferenceOps.Linear(Doubles(x), expert.Values(), Columns, null, null))];
        AssertClose(y, expected, Tolerance(Tolerances.Int8));
        GC.KeepAlive(weights);
    }

    [Test]
    public void Stacked_parts_of_different_formats_write_their_own_columns()
    {
        Random random = new(5);
        (WeightFormat Format, int Rows)[] parts = [(WeightFormat.Q4_K, 40), (WeightFormat.Q6_K, 7), (WeightFormat.Q6_K, 5)];
        byte[][] bytes = [.. Enumerable.Range(0, 3 * Experts).Select(i => StoredWeights.Random(random, parts[i % 3].Format, parts[i % 3].Rows * Columns))];
        using Weight router = LoadRouter(Uniform(random, Experts * Columns), Experts);
        using Weight weight = Backend.LoadExperts([.. bytes.Select((content, i) => Stored(parts[i % 3].Format, parts[i % 3].Rows, Columns, content))], Experts);
        Assert.That((weight.Rows, weight.Columns), Is.EqualTo((52, Columns)));

        float[] x = Uniform(random, Columns);
        Tensor input = Upload(x, 1, Columns);
        float[] y = Download(Backend.ExpertLinear(input, weight, Backend.Route(input, router, Experts, renormalize: false)));
        double[] matrices = [.. bytes.SelectMany((content, i) => StoredWeights.Decode(parts[i % 3].Format, content, parts[i % 3].Rows * Columns))];
        AssertClose(y, ReferenceOps.Linear(Doubles(x), matrices, Columns, null, null), Tolerance(Tolerances.Int8));
    }

    [Test]
    public void Values_that_are_not_numbers_spoil_their_own_token_only()
    {
        float[] x = Uniform(new Random(6), 3 * 8), matrices = Uniform(new Random(7), Experts * 8 * 8);
        using Weight router = LoadRouter(Uniform(new Random(8), Experts * 8), Experts), weight = LoadExperts(matrices, Experts, 8);
        float[] clean = Run();
        x[8 + 3] = float.NaN;
        float[] spoilt = Run();
        Assert.That(spoilt[8..16], Is.All.NaN);
        Assert.That(spoilt[..8].Concat(spoilt[16..]), Is.EqualTo(clean[..8].Concat(clean[16..])));

        float[] Run()
        {
            Tensor input = Upload(x, 3, 8);
            ExpertRouting routing = Backend.Route(input, router, 3, renormalize: false);
            return Download(Backend.CombineExperts(Backend.ExpertLinear(input, weight, routing), weight, routing, input));
        }
    }

    [Test]
    public void Steps_without_rows_are_allowed()
    {
        using Weight router = LoadRouter(new float[Experts * 8], Experts), weight = LoadExperts(new float[Experts * 64], Experts, 8);
        Tensor none = new(0, 0, 8, 8, DType.F32);
        ExpertRouting routing = Backend.Route(none, router, 2, renormalize: true);
        Tensor rows = Backend.ExpertLinear(none, weight, routing);
        Assert.That((rows.Rows, Backend.CombineExperts(rows, weight, routing, none).Rows), Is.EqualTo((0, 0)));
    }

    [Test]
    public void Wrong_arguments_are_named()
    {
        float[] ones = new float[Experts * 8];
        using Weight router = LoadRouter(ones, Experts), two = LoadExperts(ones, 2, 1), five = LoadExperts(ones, Experts, 1);
        Tensor x = Upload(ones, 3, 8), narrow = Upload(ones, 3, 4);
        ExpertRouting routing = Backend.Route(x, router, 2, renormalize: true);
        WeightData part = Stored(WeightFormat.F32, 2, 8, new byte[64]);
        Refuses("6 of 5 experts", () => Backend.Route(x, router, 6, renormalize: true));
        Refuses("0 of 5 experts", () => Backend.Route(x, router, 0, renormalize: true));
        Refuses("x is", () => Backend.Route(narrow, router, 2, renormalize: true));
        Refuses("LoadExperts", () => Backend.ExpertLinear(x, router, routing));
        Refuses("2 experts with a routing to 5", () => Backend.ExpertLinear(x, two, routing));
        Refuses("x is", () => Backend.ExpertLinear(narrow, five, routing));
        Refuses("x is", () => Backend.CombineExperts(x, five, routing, x));
        Refuses("residual", () => Backend.CombineExperts(UploadRows(new float[48], 6, 8), five, routing, x));
        Refuses("3 parts for 2 experts", () => Backend.LoadExperts([part, part, part], 2));
        Refuses("odd is F32 [1, 8]", () => Backend.LoadExperts([part, part with { Name = "odd", Rows = 1 }], 2));
        Refuses("odd is BF16", () => Backend.LoadExperts([part, part with { Name = "odd", Format = WeightFormat.BF16 }], 2));
    }

    [Test]
    public void A_mixture_allocates_nothing()
    {
        using Weight router = LoadRouter(Uniform(new Random(9), Experts * Columns), Experts), square = LoadExperts(Uniform(new Random(10), Experts * Columns * Columns), Experts, Columns);
        Tensor x = UploadRows(Uniform(new Random(11), 20 * Columns), 20, Columns), residual = Upload(new float[20 * Columns], 20, Columns);
        long least = long.MaxValue;
        for (int i = 0; i < Times(40, onCuda: 10); i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            Backend.ResetStep();
            ExpertRouting routing = Backend.Route(x, router, ExpertsPerToken, renormalize: true);
            Backend.CombineExperts(Backend.ExpertLinear(x, square, routing), square, routing, residual);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        Assert.That(least, Is.Zero);
    }

    private static void Refuses(string what, Action call) => Assert.That(call, Throws.ArgumentException.With.Message.Contains(what));

    /// <summary>A number that BF16 holds, so that every backend chooses the same experts.</summary>
    private static float Rounded(float value) => MathF.Round(value * 64) / 64;

    private static byte[][] Matrices(Random random, WeightFormat format, int rows, int columns = Columns) =>
        [.. Enumerable.Range(0, Experts).Select(_ => StoredWeights.Random(random, format, rows * columns))];

    private Weight LoadExperts(WeightFormat format, byte[][] matrices, int rows, int columns) =>
        Backend.LoadExperts([.. matrices.Select(matrix => Stored(format, rows, columns, matrix))], matrices.Length);

    private Weight LoadExperts(float[] matrices, int experts, int rows)
    {
        int each = matrices.Length / experts, columns = each / rows;
        return LoadExperts(WeightFormat.F32, [.. matrices.Chunk(each).Select(Bytes)], rows, columns);
    }

    private Weight LoadRouter(float[] logits, int experts) => Backend.LoadLinear([Stored(WeightFormat.F32, experts, logits.Length / experts, Bytes(logits))]);

    private static byte[] Bytes(float[] values) => MemoryMarshal.AsBytes(values.AsSpan()).ToArray();
}
