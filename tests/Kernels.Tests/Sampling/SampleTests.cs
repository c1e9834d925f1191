using LlamaServe.Kernels.Tests.Cuda;

namespace LlamaServe.Kernels.Tests;

[TestFixture("cpu")]
[TestFixture("cpu-portable")]
[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
internal sealed class SampleTests(string backendName) : OpTests(backendName)
{
    private static SamplingRow Greedy => new() { TopP = 1, RepetitionPenalty = 1, TargetId = -1 };

    [Test]
    public void Greedy_takes_the_largest_logit_and_the_smallest_id_among_equals([Values(1, 5, 8, 19, 1000)] int vocabulary)
    {
        float[] logits = Uniform(new Random(vocabulary), vocabulary);
        Assert.That(Sample(logits, Greedy), Is.EqualTo(Array.IndexOf(logits, logits.Max())));
        logits[vocabulary / 2] = logits[^1] = 7;
        Assert.That(Sample(logits, Greedy), Is.EqualTo(vocabulary / 2));
    }

    [Test]
    public void A_row_without_a_choice_answers_minus_one_and_spares_its_neighbours()
    {
        float[] good = Uniform(new Random(1), 100);
        foreach (float poison in (float[])[float.NaN, float.PositiveInfinity])
        {
            foreach (int place in (int[])[0, 50, 99])
            {
                float[] bad = [.. good];
                bad[place] = poison;
                SamplingBatch batch = Sample([.. good, .. bad, .. good], 3, Greedy with { LogProb = true, TopLogProbs = 2 });
                Assert.That(batch.TokenIds.ToArray(), Is.EqualTo(new[] { batch.TokenIds[0], -1, batch.TokenIds[0] }));
                Assert.That(batch.LogProbs[1], Is.NaN);
                Assert.That(batch.LogProbs[2], Is.EqualTo(batch.LogProbs[0]).And.Not.NaN);
            }
        }
        Assert.That(Sample([1, 2], Greedy with { BannedIds = new[] { 0, 1 } }), Is.EqualTo(-1));
        Assert.That(Sample([1, 2], Greedy with { BannedIds = new[] { 1 }, Temperature = 1 }), Is.Zero);
    }

    [Test]
    public void Edits_agree_with_the_reference([Values(0f, 0.8f)] float presence, [Values(0f, 0.3f, -0.4f)] float frequency, [Values(1f, 1.7f)] float repetition)
    {
        Random random = new(3);
        for (int trial = 0; trial < Times(50, onCuda: 5); trial++)
        {
            float[] logits = Uniform(random, 40, 2);
            SamplingRow row = Greedy with
            {
                PresencePenalty = presence,
                FrequencyPenalty = frequency,
                RepetitionPenalty = repetition,
                Tokens = Enumerable.Range(0, 30).Select(_ => random.Next(40)).ToArray(),
                PromptLength = random.Next(30),
                BiasIds = new[] { 3, 5 },
                BiasValues = new[] { 1.5f, -1.5f },
                BannedIds = new[] { random.Next(40) },
            };
            double[] edited = ReferenceSampler.Edit(Doubles(logits), row);
            Assert.That(Sample(logits, row), Is.EqualTo(Array.IndexOf(edited, edited.Max())));
        }
    }

    [Test]
    public void Each_uniform_number_picks_what_the_sorted_distribution_says(
        [Values(0, 1, 5, 40)] int topK, [Values(0f, 0.3f, 0.9f, 1f)] float topP, [Values(0f, 0.05f, 1f)] float minP, [Values(0.01f, 0.7f, 3f)] float temperature)
    {
        float[] logits = Uniform(new Random(topK + 1), 300, 4);
        logits[7] = logits[200] = logits[100];
        SamplingRow row = Greedy with { TopK = topK, TopP = topP, MinP = minP, Temperature = temperature, Seed = 99 };
        (int Id, double Probability)[] expected = ReferenceSampler.Distribution(Doubles(logits), row);
        for (row.Counter = 0; row.Counter < (ulong)Times(100, onCuda: 3); row.Counter++)
        {
            double u = Cpu.Philox.Uniform(row.Seed, row.Counter), sum = 0;
            int[] possible = [.. expected.Where(token => { sum += token.Probability; return sum > u - 1e-5 && sum - token.Probability < u + 1e-5; }).Select(token => token.Id)];
            Assert.That(Sample(logits, row), Is.AnyOf(Array.ConvertAll(possible, id => (object)id)));
        }
    }

    [Test]
    public void Draws_follow_the_distribution()
    {
        int draws = Times(20_000, onCuda: 1000);
        float[] logits = Uniform(new Random(21), 24, 2);
        SamplingRow row = Greedy with { Temperature = 0.9f, TopP = 0.95f, Seed = 1234 };
        (int Id, double Probability)[] expected = ReferenceSampler.Distribution(Doubles(logits), row);
        int[] counts = new int[logits.Length];
        for (row.Counter = 0; row.Counter < (ulong)draws; row.Counter++)
        {
            counts[Sample(logits, row)]++;
        }
        double chiSquare = expected.Sum(token => Math.Pow(counts[token.Id] - draws * token.Probability, 2) / (draws * token.Probability));
        Assert.That(counts.Sum() - expected.Sum(token => counts[token.Id]), Is.Zero, "draws outside the nucleus");
        // 99.99 % point of χ² with 23 degrees of freedom, an upper bound for fewer.
        Assert.That(chiSquare, Is.LessThan(56.6));
    }

    [Test]
    public void Flat_and_huge_vocabularies_can_be_drawn_from()
    {
        float[] flat = new float[150_001];
        SamplingRow row = Greedy with { Temperature = 1, Seed = 5, Counter = 6 };
        int expected = (int)(Cpu.Philox.Uniform(5, 6) * flat.Length);
        Assert.That(Sample(flat, row), Is.EqualTo(expected));
        Assert.That(Sample(flat, row with { TopK = 1000 }), Is.EqualTo((int)(Cpu.Philox.Uniform(5, 6) * 1000)));
    }

    [Test]
    public void Log_probabilities_are_those_of_the_untouched_logits([Values(3, 20, 1003)] int vocabulary)
    {
        float[] logits = Uniform(new Random(31), vocabulary, 10);
        double[] expected = ReferenceOps.LogSoftmax(Doubles(logits));
        SamplingRow row = Greedy with { LogProb = true, TopLogProbs = SamplingBatch.MaxTopLogProbs, BannedIds = new[] { 1 }, Temperature = 2, Seed = 3 };
        SamplingBatch batch = Sample(logits, 1, row);
        Assert.That(batch.LogProbs[0], Is.EqualTo(expected[batch.TokenIds[0]]).Within(1e-5));
        int[] order = [.. Enumerable.Range(0, vocabulary).OrderByDescending(id => logits[id]).ThenBy(id => id).Take(20)];
        Assert.That(batch.TopIds(0)[..order.Length].ToArray(), Is.EqualTo(order));
        Assert.That(batch.TopIds(0)[order.Length..].ToArray(), Is.All.EqualTo(-1));
        for (int i = 0; i < order.Length; i++)
        {
            Assert.That(batch.TopLogProbs(0)[i], Is.EqualTo(expected[order[i]]).Within(1e-5));
        }
    }

    [Test]
    public void Targets_are_scored_and_not_sampled()
    {
        float[] logits = Uniform(new Random(32), 50, 5);
        SamplingBatch batch = Sample(logits, 1, Greedy with { TargetId = 17, LogProb = true });
        Assert.That(batch.TokenIds[0], Is.EqualTo(17));
        Assert.That(batch.LogProbs[0], Is.EqualTo(ReferenceOps.LogSoftmax(Doubles(logits))[17]).Within(1e-5));
    }

    [Test]
    public void A_row_alone_and_among_31_others_draws_the_same()
    {
        const int Vocabulary = 500;
        float[] logits = Uniform(new Random(33), 32 * Vocabulary, 3);
        SamplingRow row = Greedy with { Temperature = 1.2f, TopK = 60, Seed = 8, LogProb = true, FrequencyPenalty = 0.2f, Tokens = new[] { 4, 4, 5 } };
        SamplingBatch together = Sample(logits, 32, row);
        for (int i = 0; i < 32; i++)
        {
            SamplingBatch alone = Sample(logits[(i * Vocabulary)..((i + 1) * Vocabulary)], 1, row);
            Assert.That((alone.TokenIds[0], alone.LogProbs[0]), Is.EqualTo((together.TokenIds[i], together.LogProbs[i])));
        }
    }

    private int Sample(float[] logits, SamplingRow row) => Sample(logits, 1, row).TokenIds[0];

    private SamplingBatch Sample(float[] logits, int rows, SamplingRow row)
    {
        SamplingBatch batch = new(rows);
        for (int i = 0; i < rows; i++)
        {
            batch.Add(row);
        }
        Backend.Sample(Upload(logits, rows, logits.Length / rows), batch);
        return batch;
    }
}
