namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>Searches of every kind through vocabularies that are larger than a row's head: within it, below it, and without it.</summary>
[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
internal sealed class CudaSampleSearchTests(string kind)
{
    private const int Vocabulary = 12_500;

    private SamplingDevice _device = null!;

    private static SamplingRow Draw => new() { Temperature = 1, TopP = 1, RepetitionPenalty = 1, TargetId = -1, Seed = 99 };

    [OneTimeSetUp]
    public void CreateDevice() => _device = new SamplingDevice(kind);

    [OneTimeTearDown]
    public void DisposeDevice() => _device?.Dispose();

    [Test]
    public void Peaked_distributions([Values(3f, 6f)] float scale)
    {
        SamplingRow[] rows =
        [
            Draw, Draw with { TopK = 50 }, Draw with { TopP = 0.9f }, Draw with { TopK = 40, TopP = 0.95f }, Draw with { MinP = 0.05f },
            Draw with { TopK = 5000 }, Draw with { TopK = 2, Temperature = 0.2f }, Draw with { TopP = 0.999999f },
        ];
        SamplingRow[] threeDraws = [.. rows.SelectMany(row => new[] { row, row with { Counter = 1 }, row with { Counter = 2 } })];
        Agree(() => CudaSampleTests.Normal(new Random(11), Vocabulary, scale), threeDraws);
    }

    [Test]
    public void Heads_that_do_not_fit_their_list()
    {
        SamplingRow[] rows = [Draw, Draw with { TopK = 9000 }, Draw with { TopP = 0.5f }, Draw with { TopK = 60, TopP = 0.8f }, Draw with { MinP = 0.99f }];
        Agree(() => CudaSampleTests.Normal(new Random(12), Vocabulary, 0.3f), rows);
    }

    [Test]
    public void Flat_distributions_are_cut_by_id()
    {
        SamplingRow[] rows = [Draw, Draw with { TopK = 1000 }, Draw with { TopP = 0.5f }, Draw with { TopK = 20, TopP = 0.25f }, Draw with { TopK = 10_000, TopP = 0.75f }];
        int[] ids = Agree(() => new float[Vocabulary], rows);
        double u = Cpu.Philox.Uniform(99, 0);
        int[] kept = [Vocabulary, 1000, Vocabulary / 2, 5, 7500];
        Assert.That(ids, Is.EqualTo(kept.Select(count => (int)(u * count))));
    }

    [Test]
    public void Searches_that_end_in_the_tail_read_the_row_again()
    {
        // One token in the head, and a tail of equal and of different weights that weighs about as much.
        static float[] Logits()
        {
            float[] logits = CudaSampleTests.Normal(new Random(13), Vocabulary, 0.5f);
            logits.AsSpan(6000).Clear();
            logits[4321] = 9.5f;
            return logits;
        }
        SamplingRow edited = Draw with { Tokens = new[] { 7, 12_000, 4321 }, PromptLength = 1, FrequencyPenalty = 0.5f, BannedIds = new[] { 9 } };
        SamplingRow[] rows = [.. Enumerable.Range(0, 6).Select(i => (i < 3 ? Draw : edited) with { Counter = (ulong)i, TopP = i % 3 == 1 ? 0.97f : 1 })];
        int[] ids = Agree(Logits, rows);
        Assert.That(ids, Has.Some.Not.EqualTo(4321), "no search ended in the tail");
    }

    [Test]
    public void Weights_close_to_nothing_are_counted()
    {
        static float[] Logits() => [.. Enumerable.Range(0, Vocabulary).Select(id => -0.008f * id)];
        SamplingRow[] rows = [Draw with { TopK = 10_500, Counter = 5 }, Draw with { TopK = 9_000, TopP = 0.99f }, Draw with { Temperature = 0.3f, TopK = 3_000 }];
        Agree(Logits, rows);
    }

    private int[] Agree(Func<float[]> row, SamplingRow[] rows)
    {
        float[] one = row();
        float[] logits = [.. Enumerable.Repeat(one, rows.Length).SelectMany(values => values)];
        return _device.RunLikeCpu(logits, rows).TokenIds.ToArray();
    }
}
