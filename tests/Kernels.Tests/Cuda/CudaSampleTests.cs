using LlamaServe.Kernels.Cpu;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>
/// Sampling on a CUDA device chooses what the CPU backend chooses, token by token: weights are the same floats, and sums are
/// exact where they matter.
/// </summary>
[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
internal sealed class CudaSampleTests(string kind)
{
    private SamplingDevice _device = null!;

    private static SamplingRow Greedy => new() { TopP = 1, RepetitionPenalty = 1, TargetId = -1 };

    [OneTimeSetUp]
    public void CreateDevice() => _device = new SamplingDevice(kind);

    [OneTimeTearDown]
    public void DisposeDevice() => _device?.Dispose();

    [Test]
    public void Greedy_takes_the_largest_logit_and_the_smallest_id_among_equals([Values(1, 7, 257, 4096, 4097, 9001)] int vocabulary, [Values(0, 3)] int padding)
    {
        const int Rows = 6;
        float[] logits = Normal(new Random(vocabulary), Rows * vocabulary);
        for (int row = 1; row < Rows; row++)
        {
            int[] equal = [vocabulary - 1, vocabulary / 2, vocabulary * row / Rows];
            Array.ForEach(equal, id => logits[row * vocabulary + id] = 9);
        }
        // Both zeros are equal.
        logits.AsSpan(5 * vocabulary).Fill(-0f);
        logits[^1] = 0;
        SamplingBatch batch = _device.RunLikeCpu(logits, Repeat(Greedy, Rows), padding);
        Assert.That(batch.TokenIds[4], Is.EqualTo(Math.Min(vocabulary / 2, vocabulary * 4 / Rows)));
        Assert.That(batch.TokenIds[5], Is.Zero);
    }

    [Test]
    public void A_row_without_a_choice_answers_minus_one_and_spares_its_neighbours([Values(0f, 0.8f)] float temperature)
    {
        const int Vocabulary = 5000;
        float[] poisons = [float.NaN, float.PositiveInfinity];
        float[] logits = Normal(new Random(1), 8 * Vocabulary);
        int row = 0;
        foreach (float poison in poisons)
        {
            foreach (int place in (int[])[0, 2500, 4999])
            {
                logits[++row * Vocabulary + place] = poison;
            }
        }
        logits.AsSpan(7 * Vocabulary).Fill(float.NegativeInfinity);
        SamplingRow asked = Greedy with { Temperature = temperature, LogProb = true, TopLogProbs = 2, TopK = 3 };
        SamplingBatch batch = _device.RunLikeCpu(logits, Repeat(asked, 8));
        Assert.That(batch.TokenIds[1..].ToArray(), Is.All.EqualTo(-1));
        Assert.That(batch.LogProbs[0], Is.Not.NaN);
    }

    [Test]
    public void Bans_biases_and_ids_outside_the_vocabulary()
    {
        const int Vocabulary = 4500;
        float[] logits = Normal(new Random(2), 7 * Vocabulary);
        int[] all = [.. Enumerable.Range(0, Vocabulary)];
        SamplingRow drawn = Greedy with { Temperature = 1, Seed = 4 };
        SamplingRow[] rows =
        [
            Greedy with { BannedIds = all },
            drawn with { BannedIds = all },
            drawn with { BannedIds = all.AsMemory(1) },
            Greedy with { BiasIds = new[] { 4400, -1, Vocabulary, int.MaxValue, int.MinValue }, BiasValues = new[] { 100f, 200f, 200f, 200f, 200f } },
            Greedy with { BiasIds = new[] { 7, 8, 7 }, BiasValues = new[] { 50f, 75f, 50f }, BannedIds = new[] { -5, 1 << 30 } },
            drawn with { BiasIds = new[] { 7, 8 }, BiasValues = new[] { 50f, 75f }, BannedIds = new[] { 8 } },
            Greedy with { BiasIds = new[] { 3 }, BiasValues = new[] { float.PositiveInfinity } },
        ];
        SamplingBatch batch = _device.RunLikeCpu(logits, rows);
        Assert.That(batch.TokenIds.ToArray(), Is.EqualTo(new[] { -1, -1, 0, 4400, 7, 7, -1 }));
    }

    [Test]
    public void Random_rows_of_all_parameters([Values(7, 257, 4096)] int vocabulary, [Range(0, 3)] int seed)
    {
        const int Rows = 24;
        Random random = new(100 * vocabulary + seed);
        float[] logits = Normal(random, Rows * vocabulary, 1 + 3 * random.NextSingle());
        for (int i = 0; i < Rows * 3; i++)
        {
            // Ties and impossible tokens.
            logits[random.Next(logits.Length)] = logits[random.Next(logits.Length)];
            logits[random.Next(logits.Length)] = vocabulary > 7 ? float.NegativeInfinity : -50;
        }
        SamplingRow[] rows = [.. Enumerable.Range(0, Rows).Select(_ => RandomRow(random, vocabulary))];
        SamplingBatch batch = _device.RunLikeCpu(logits, rows, padding: seed);
        for (int i = 0; i < Rows; i++)
        {
            AssertPossible(logits[(i * vocabulary)..((i + 1) * vocabulary)], rows[i], batch.TokenIds[i]);
        }
    }

    [Test]
    public void Histories_longer_than_the_upload_so_far([Values(100, 20_000)] int length)
    {
        const int Vocabulary = 4200;
        Random random = new(length);
        float[] logits = Normal(random, 2 * Vocabulary);
        int[] tokens = [.. Enumerable.Range(0, length).Select(_ => (int)(Vocabulary * random.NextSingle() * random.NextSingle()))];
        SamplingRow row = Greedy with
        {
            Tokens = tokens,
            PromptLength = length / 3,
            FrequencyPenalty = 0.01f,
            PresencePenalty = 0.4f,
            RepetitionPenalty = 1.3f,
        };
        _device.RunLikeCpu(logits, [row, row with { Temperature = 0.8f, Seed = 3 }]);
    }

    [Test]
    public void Log_probabilities_of_large_vocabularies_and_targets()
    {
        const int Vocabulary = 20_000;
        float[] logits = Normal(new Random(8), 3 * Vocabulary, 4);
        logits.AsSpan(2 * Vocabulary).Fill(-3);
        SamplingRow row = Greedy with { LogProb = true, TopLogProbs = SamplingBatch.MaxTopLogProbs };
        SamplingBatch batch = _device.RunLikeCpu(logits, [row, row with { TargetId = 19_999, TopLogProbs = 1 }, row with { TopLogProbs = 7 }]);
        Assert.That(batch.LogProbs[2], Is.EqualTo(-Math.Log(Vocabulary)).Within(1e-5));
        Assert.That(batch.TopIds(2)[..7].ToArray(), Is.EqualTo(Enumerable.Range(0, 7)));
    }

    [Test]
    public void Draws_follow_the_distribution()
    {
        const int Draws = 250, Vocabulary = 7;
        float[] one = Normal(new Random(21), Vocabulary);
        float[] logits = [.. Enumerable.Repeat(one, Draws).SelectMany(values => values)];
        SamplingRow[] rows = Repeat(Greedy with { Temperature = 0.9f, TopP = 0.95f, Seed = 1234 }, Draws);
        for (int i = 0; i < Draws; i++)
        {
            rows[i].Counter = (ulong)i;
        }
        int[] counts = new int[Vocabulary];
        foreach (int id in _device.RunLikeCpu(logits, rows).TokenIds)
        {
            counts[id]++;
        }
        (int Id, double Probability)[] expected = ReferenceSampler.Distribution(Doubles(one), rows[0]);
        Assert.That(expected.Sum(token => counts[token.Id]), Is.EqualTo(Draws), "draws outside the nucleus");
        // 99.99 % point of χ² with 6 degrees of freedom, an upper bound for fewer.
        Assert.That(expected.Sum(token => Math.Pow(counts[token.Id] - Draws * token.Probability, 2) / (Draws * token.Probability)), Is.LessThan(27.9));
    }

    [Test]
    public void A_row_alone_and_among_others_gives_the_same_bits()
    {
        const int Vocabulary = 9000, Rows = 5;
        Random random = new(33);
        float[] logits = Normal(random, Rows * Vocabulary, 3);
        SamplingRow[] rows = [.. Enumerable.Range(0, Rows).Select(_ => RandomRow(random, Vocabulary) with { LogProb = true, TopLogProbs = 3, TargetId = -1 })];
        SamplingBatch together = _device.Run(logits, rows);
        for (int i = 0; i < Rows; i++)
        {
            SamplingBatch alone = _device.Run(logits[(i * Vocabulary)..((i + 1) * Vocabulary)], [rows[i]]);
            Assert.That((alone.TokenIds[0], alone.LogProbs[0]), Is.EqualTo((together.TokenIds[i], together.LogProbs[i])));
            Assert.That(alone.TopLogProbs(0).ToArray(), Is.EqualTo(together.TopLogProbs(i).ToArray()));
        }
    }

    [Test]
    public void Arguments_that_would_lead_out_of_bounds_are_refused()
    {
        Assert.That(() => _device.Run([1, 2, 3], [Greedy with { TargetId = 3 }]), Throws.InstanceOf<ArgumentException>());
        Assert.That(() => _device.Run([1, 2, 3], [Greedy with { TopLogProbs = 21 }]), Throws.InstanceOf<ArgumentException>());
        Assert.That(_device.Run([1, 2, 3], [Greedy]).TokenIds[0], Is.EqualTo(2));
    }

    internal static float[] Normal(Random random, int count, float scale = 1)
    {
        float[] values = new float[count];
        for (int i = 0; i < count; i++)
        {
            values[i] = scale * MathF.Sqrt(-2 * MathF.Log(1 - random.NextSingle())) * MathF.Cos(MathF.Tau * random.NextSingle());
        }
        return values;
    }

    private static SamplingRow RandomRow(Random random, int vocabulary)
    {
        SamplingRow row = Greedy with
        {
            Temperature = Any(0f, 0.01f, 0.7f, 1f, 3f),
            TopK = Any(0, 0, 1, 5, 40, vocabulary, 2 * vocabulary),
            TopP = Any(1f, 1f, 0.9f, 0.3f, 1e-20f, 0f),
            MinP = Any(0f, 0f, 0.05f, 1f),
            RepetitionPenalty = Any(1f, 1f, 1.4f, 0.8f),
            PresencePenalty = Any(0f, 0f, 0.9f),
            FrequencyPenalty = Any(0f, 0f, 0.3f, -0.2f),
            Seed = (ulong)random.NextInt64(),
            Counter = (ulong)random.Next(1000),
            TargetId = Any(-1, -1, -1, random.Next(vocabulary)),
            LogProb = random.Next(2) == 0,
            TopLogProbs = Any(0, 0, 1, 5, 20),
            Tokens = Enumerable.Range(0, random.Next(40)).Select(_ => random.Next(vocabulary)).ToArray(),
        };
        row.PromptLength = random.Next(row.Tokens.Length + 1);
        if (random.Next(3) == 0)
        {
            row.BiasIds = new[] { random.Next(vocabulary), random.Next(vocabulary), 0 };
            row.BiasValues = new[] { 2f, -2.5f, 0.1f };
            row.BannedIds = new[] { random.Next(vocabulary) };
        }
        return row;

        T Any<T>(params T[] values) => values[random.Next(values.Length)];
    }

    /// <summary>Whether rules in double precision, applied to a full sort, can choose it.</summary>
    private static void AssertPossible(float[] logits, SamplingRow row, int token)
    {
        if (row.TargetId >= 0 || token < 0)
        {
            Assert.That(token, Is.EqualTo(row.TargetId));
            return;
        }
        double[] edited = ReferenceSampler.Edit(Doubles(logits), row);
        if (row.Temperature == 0)
        {
            Assert.That(edited[token], Is.EqualTo(edited.Max()).Within(1e-5));
            return;
        }
        double u = Philox.Uniform(row.Seed, row.Counter), sum = 0;
        int[] possible = [.. ReferenceSampler.Distribution(edited, row).Where(other =>
        {
            sum += other.Probability;
            return sum > u - 1e-5 && sum - other.Probability < u + 1e-5;
        }).Select(other => other.Id)];
        Assert.That(token, Is.AnyOf(Array.ConvertAll(possible, id => (object)id)));
    }

    private static SamplingRow[] Repeat(SamplingRow row, int count) => [.. Enumerable.Repeat(row, count)];

    private static double[] Doubles(float[] values) => Array.ConvertAll(values, value => (double)value);
}
