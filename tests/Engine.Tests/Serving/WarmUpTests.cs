using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Tests.Support;
using LlamaServe.Kernels.Cpu;
using LlamaServe.Models;
using LlamaServe.Testing;

namespace LlamaServe.Engine.Tests.Serving;

/// <summary>The steps that compile the code before the first request, on the bundled model.</summary>
public class WarmUpTests
{
    [TestCase(512, 256, null, 16)]
    [TestCase(1, 1, 2, 1)]
    [TestCase(3, 2, 3, 1)]
    [TestCase(64, 4, 2, 1024)]
    public async Task It_fits_the_smallest_engine_and_leaves_no_trace(int tokenBudget, int maxSequences, int? context, int blockSize)
    {
        EngineOptions options = new()
        {
            TokenBudget = tokenBudget,
            MaxSequences = maxSequences,
            MaxContextLength = context,
            BlockSize = blockSize,
            KvCacheBytes = 32L << 20,
        };
        await using LlamaEngine engine = await StartAsync(options);
        EngineStatistics statistics = engine.GetStatistics();
        Assert.That(
            (statistics.Steps, statistics.PrefillTokens, statistics.GeneratedTokens, statistics.PrefixQueriedTokens, statistics.KvBlocksUsed),
            Is.EqualTo((0, 0, 0, 0, 0)));
        List<GeneratedToken> tokens = await EngineHarness.CollectAsync(engine.Submit(new GenerationRequest { PromptTokenIds = new[] { 5 }, MaxTokens = 1 }).Generation!);
        Assert.That(tokens.Ids(), Has.Length.EqualTo(1));
    }

    [Test]
    public async Task The_first_request_finds_nothing_of_it_in_the_prefix_cache()
    {
        await using LlamaEngine engine = await StartAsync(new EngineOptions { BlockSize = 4, KvCacheBytes = 32L << 20 });
        await EngineHarness.CollectAsync(engine.Submit(new GenerationRequest { PromptTokenIds = new int[20], MaxTokens = 1 }).Generation!);
        Assert.That(engine.GetStatistics().PrefixHitTokens, Is.Zero);
    }

    private static async Task<LlamaEngine> StartAsync(EngineOptions options)
    {
        var engine = new LlamaEngine(() => ModelLoader.Load(RepositoryPaths.BundledModel, new CpuBackend(new CpuBackendOptions { Threads = 2 })), options);
        await engine.StartAsync();
        return engine;
    }
}
