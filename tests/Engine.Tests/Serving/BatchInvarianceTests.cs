using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Tests.Support;
using LlamaServe.Kernels.Cpu;
using LlamaServe.Models;
using LlamaServe.Testing;

namespace LlamaServe.Engine.Tests.Serving;

/// <summary>
/// The bundled model on the CPU backend: the same request gives the same ids and the same log-probabilities, bit for bit,
/// whatever else is in the batch, however its prompt is cut, wherever its keys and values come from, host memory included.
/// </summary>
public class BatchInvarianceTests
{
    private const int NewTokens = 40;

    private static readonly EngineOptions Roomy = new() { KvCacheBytes = 32L << 20, MaxSequences = 64, StepTimeout = TimeSpan.FromMinutes(5) };

    private static GenerationRequest[] Subjects(int vocabulary) =>
    [
        Request(vocabulary, 1, 61) with { Sampling = SamplingParameters.Greedy },
        Request(vocabulary, 2, 100) with
        {
            Sampling = new SamplingParameters { Seed = 7, Temperature = 0.9f, TopP = 0.95f, TopK = 50, RepetitionPenalty = 1.1f, FrequencyPenalty = 0.2f },
        },
    ];

    [Test]
    public async Task Alone_in_company_chunked_after_a_prefix_hit_and_after_preemption_tokens_are_the_same()
    {
        Outcome[] alone = await AloneAsync();
        Outcome[] inCompany = await InCompanyAsync(Roomy);
        Outcome[] chunked = await InCompanyAsync(Roomy with { TokenBudget = 13, MaxSequences = 5, BlockSize = 8 });
        Outcome[] afterHit = await AfterPrefixHitAsync();
        Outcome[] preempted = await PreemptedAsync();
        Assert.That(inCompany, Is.EqualTo(alone), "in company");
        Assert.That(chunked, Is.EqualTo(alone), "chunked");
        Assert.That(afterHit, Is.EqualTo(alone), "after a prefix hit");
        Assert.That(preempted, Is.EqualTo(alone), "after preemption");
    }

    /// <summary>In a pool of 28 blocks that ten sequences share, round after round.</summary>
    [Test]
    public async Task With_a_tier_in_host_memory_tokens_are_the_same()
    {
        Outcome[] alone = await AloneAsync();
        await using LlamaEngine engine = await StartAsync(Roomy with { KvCacheBytes = 450 * BytesPerToken, KvHostBytes = 1000 * BytesPerToken });
        int preemptions = 0;
        for (int round = 0; round < 4; round++)
        {
            Outcome[] outcomes = await AmongOthersAsync(engine, 8, subjectPriority: -1);
            Assert.That(outcomes, Is.EqualTo(alone), $"round {round}");
            preemptions += outcomes.Sum(o => o.Preemptions);
        }
        EngineStatistics statistics = engine.GetStatistics();
        Assert.That(preemptions, Is.Positive);
        Assert.That(statistics.BlocksSwappedIn, Is.GreaterThan(20));
        Assert.That(statistics.PrefixHostHitTokens, Is.InRange(100, statistics.PrefixHitTokens));
        Assert.That(statistics.KvHostBlocks, Is.EqualTo(1000 / 16));
        Assert.That(statistics.KvHostBlocksUsed, Is.InRange(1, 1000 / 16));
    }

    [Test]
    public async Task Each_sample_is_what_its_seed_gives_alone()
    {
        await using LlamaEngine engine = await StartAsync(Roomy);
        GenerationRequest request = Subjects(engine.Limits!.VocabularySize)[1];
        List<GeneratedToken> together = await EngineHarness.CollectAsync(engine.Submit(request with { Samples = 4 }).Generation!);
        for (ulong i = 0; i < 4; i++)
        {
            GenerationRequest alone = request with { Sampling = request.Sampling with { Seed = request.Sampling.Seed + i } };
            int[] ids = (await EngineHarness.CollectAsync(engine.Submit(alone).Generation!)).Ids();
            Assert.That(together.Ids((int)i), Is.EqualTo(ids), $"sample {i}");
        }
    }

    private static async Task<Outcome[]> AloneAsync()
    {
        await using LlamaEngine engine = await StartAsync(Roomy with { PrefixCaching = false });
        var outcomes = new List<Outcome>();
        foreach (GenerationRequest subject in Subjects(engine.Limits!.VocabularySize))
        {
            outcomes.Add(await RunAsync(engine, subject));
        }
        return [.. outcomes];
    }

    private static async Task<Outcome[]> InCompanyAsync(EngineOptions options)
    {
        await using LlamaEngine engine = await StartAsync(options);
        return await AmongOthersAsync(engine, 31);
    }

    private static async Task<Outcome[]> AfterPrefixHitAsync()
    {
        await using LlamaEngine engine = await StartAsync(Roomy);
        await AmongOthersAsync(engine, 0);
        Outcome[] outcomes = await AmongOthersAsync(engine, 7);
        Assert.That(engine.GetStatistics().PrefixHitTokens, Is.GreaterThan(100));
        return outcomes;
    }

    private static async Task<Outcome[]> PreemptedAsync()
    {
        // Room for about three of the ten sequences at their full length.
        await using LlamaEngine engine = await StartAsync(Roomy with { KvCacheBytes = 450 * BytesPerToken, PrefixCaching = false });
        Outcome[] outcomes = await AmongOthersAsync(engine, 8, subjectPriority: -1);
        Assert.That(outcomes.Sum(o => o.Preemptions), Is.Positive);
        return outcomes;
    }

    /// <summary>Bundled model: keys and values of 6 layers, 2 heads of 64, BF16.</summary>
    private const long BytesPerToken = 2 * 6 * 2 * 64 * 2;

    private static async Task<Outcome[]> AmongOthersAsync(LlamaEngine engine, int others, int subjectPriority = 0)
    {
        int vocabulary = engine.Limits!.VocabularySize;
        GenerationRequest[] subjects = [.. Subjects(vocabulary).Select(s => s with { Priority = subjectPriority })];
        var company = new List<Task>();
        var runs = new List<Task<Outcome>>();
        for (int i = 0; i < others; i++)
        {
            company.Add(RunAsync(engine, Request(vocabulary, 100 + i, 5 + 13 * i % 120) with { IgnoreEos = true }));
            if (i == others / 2)
            {
                runs.AddRange(subjects.Select(s => RunAsync(engine, s)));
            }
        }
        runs.AddRange(subjects.Skip(runs.Count).Select(s => RunAsync(engine, s)));
        await Task.WhenAll(company);
        return await Task.WhenAll(runs);
    }

    private static async Task<Outcome> RunAsync(LlamaEngine engine, GenerationRequest request)
    {
        Admission admission = engine.Submit(request);
        Assert.That(admission.Rejection, Is.Null);
        Generation generation = admission.Generation!;
        List<GeneratedToken> tokens = await EngineHarness.CollectAsync(generation);
        return new Outcome(
            string.Join(' ', tokens.Ids()),
            string.Join(' ', tokens.Select(t => BitConverter.SingleToInt32Bits(t.LogProb))),
            tokens.Text(),
            generation.Summary!.Timings.Preemptions);
    }

    private static GenerationRequest Request(int vocabulary, int seed, int length)
    {
        var random = new Random(seed);
        return new GenerationRequest
        {
            PromptTokenIds = Enumerable.Range(0, length).Select(_ => random.Next(vocabulary)).ToArray(),
            MaxTokens = NewTokens,
            LogProbs = 2,
            Sampling = new SamplingParameters { Seed = (ulong)seed },
        };
    }

    private static async Task<LlamaEngine> StartAsync(EngineOptions options)
    {
        var engine = new LlamaEngine(() => ModelLoader.Load(RepositoryPaths.BundledModel, new CpuBackend(new CpuBackendOptions())), options);
        await engine.StartAsync();
        return engine;
    }

    /// <param name="LogProbs">Their bits.</param>
    private sealed record Outcome(string Ids, string LogProbs, string Text, int Preemptions)
    {
        public bool Equals(Outcome? other) => other is not null && (Ids, LogProbs, Text) == (other.Ids, other.LogProbs, other.Text);

        public override int GetHashCode() => Ids.GetHashCode(StringComparison.Ordinal);
    }
}
