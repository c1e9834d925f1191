using LlamaServe.Engine.Execution;
using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Tests.Support;
using LlamaServe.Kernels.Cpu;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Models;
using LlamaServe.Testing;

namespace LlamaServe.Engine.Tests.Serving;

/// <summary>The whole engine on the emulated device, whose steps overlap as those of a GPU do, and without that.</summary>
public class CudaOverlapTests
{
    private const int Layers = 2, BlockBytes = Layers * 16 * 2 * 64 * 2;

    private static readonly TinyModel Model = TinyModel.Llama31 with { HiddenSize = 128, HeadDim = 64, Heads = 2, KvHeads = 1, Layers = Layers };

    private static readonly TinyModel Mixture = TinyModel.Mixtral with { HiddenSize = 128, HeadDim = 64, Heads = 2, KvHeads = 1, Layers = Layers, BFloat16 = true };

    /// <summary>Room for some of the requests at a time, and prompts in pieces.</summary>
    private static readonly EngineOptions Options = new()
    {
        TokenBudget = 24,
        MaxSequences = 6,
        MinPrefillTokens = 8,
        MaxContextLength = 128,
        StepTimeTarget = TimeSpan.Zero,
        KvCacheBytes = 10 * BlockBytes,
        StepTimeout = TimeSpan.FromMinutes(5),
    };

    private static readonly GenerationRequest[] Requests =
    [
        Request(3, 20) with { Sampling = SamplingParameters.Greedy },
        Request(30, 12) with { Sampling = new SamplingParameters { Seed = 3, Temperature = 1.2f, RepetitionPenalty = 1.4f, PresencePenalty = 0.5f } },
        Request(17, 15) with { Samples = 2, Sampling = new SamplingParameters { Seed = 5, FrequencyPenalty = 1, TopK = 30, TopP = 0.9f } },
        Request(9, 30) with { MinTokens = 4, StopTokenIds = [.. Enumerable.Range(0, 96)] },
        Request(40, 10) with { PromptLogProbs = 1, Sampling = new SamplingParameters { Seed = 9, LogitBias = new Dictionary<int, float> { [7] = 4 } } },
        Request(40, 14) with { Sampling = new SamplingParameters { Seed = 10, RepetitionPenalty = 0.8f } },
    ];

    private readonly TemporaryFolder _folder = new(), _mixtureFolder = new();

    [OneTimeSetUp]
    public void WriteModels()
    {
        TinyModels.Create(Model, _folder.Path, seed: 1);
        TinyModels.Create(Mixture, _mixtureFolder.Path, seed: 2);
    }

    [OneTimeTearDown]
    public void DeleteModels()
    {
        _folder.Dispose();
        _mixtureFolder.Dispose();
    }

    [Test]
    [Category("CudaEmulated")]
    public async Task Overlapped_steps_give_the_same_ids_and_log_probabilities()
    {
        string[] expected = (await GenerateAsync(Options with { OverlapSteps = false }, Requests)).Results;
        Assert.That((await GenerateAsync(Options, Requests)).Results, Is.EqualTo(expected));
        Assert.That(expected, Has.Some.Contains($"{nameof(SampleFinish.Reason)} = {nameof(FinishReason.Stop)}"), "an end that only the token tells");
    }

    [TestCase(false)]
    [TestCase(true)]
    [Category("CudaEmulated")]
    public async Task Preempted_requests_get_what_they_get_where_there_is_room(bool isMixture)
    {
        EngineOptions roomy = Options with { OverlapSteps = false, KvCacheBytes = 100 * BlockBytes };
        GenerationRequest[] growing = [.. Enumerable.Range(0, 6).Select(i => Request(5 + i, 42))];
        (string[] expected, long none) = await GenerateAsync(roomy, growing, isMixture);
        (string[] actual, long preemptions) = await GenerateAsync(Options, growing, isMixture);
        Assert.That(none, Is.Zero);
        Assert.That(preemptions, Is.Positive);
        Assert.That(actual, Is.EqualTo(expected));
    }

    [TestCase(false)]
    [TestCase(true)]
    [Category("CudaEmulated")]
    public async Task With_a_tier_in_host_memory_ids_and_log_probabilities_are_the_same(bool overlaps)
    {
        EngineOptions tiered = Options with { OverlapSteps = overlaps, KvHostBytes = 24 * BlockBytes };
        string[] expected = (await GenerateAsync(Options with { OverlapSteps = false }, Requests)).Results;
        // Twice: what the first round computed comes back in the second one.
        Assert.That((await GenerateAsync(tiered, Requests, rounds: 2)).Results, Is.EqualTo(expected));
    }

    [Test]
    public void Steps_on_the_cpu_do_not_overlap()
    {
        using var runner = ModelRunner.Create(ModelLoader.Load(_folder.Path, new CpuBackend(new CpuBackendOptions { Threads = 1 })), Options);
        Assert.That(runner.Overlaps, Is.False);
    }

    private static GenerationRequest Request(int prompt, int tokens) => new()
    {
        PromptTokenIds = Enumerable.Range(0, prompt).Select(i => (i * 11 + prompt) % 256).ToArray(),
        MaxTokens = tokens,
        LogProbs = 2,
        IgnoreEos = true,
        Sampling = new SamplingParameters { Seed = 1 },
    };

    private static string Describe(GeneratedToken token) =>
        $"{token.Sample}: {token.TokenId} {Bits(token.LogProb)} {string.Join(' ', (token.Top ?? []).Select(top => $"{top.TokenId} {Bits(top.LogProb)}"))} {token.Finish}";

    private static string Bits(float value) => BitConverter.SingleToInt32Bits(value).ToString("x");

    /// <summary>Everything that the requests get in the last round, sample by sample.</summary>
    private async Task<(string[] Results, long Preemptions)> GenerateAsync(
        EngineOptions options, GenerationRequest[] requests, bool isMixture = false, int rounds = 1)
    {
        CudaBackend backend = Emulated();
        await using var engine = new LlamaEngine(
            () =>
            {
                var runner = ModelRunner.Create(ModelLoader.Load((isMixture ? _mixtureFolder : _folder).Path, backend), options);
                Assert.That(runner.Overlaps, Is.EqualTo(options.OverlapSteps));
                return runner;
            },
            options,
            checksEachStep: true);
        await engine.StartAsync();
        List<Generation> generations = [];
        List<GeneratedToken>[] outcomes = [];
        for (int round = 0; round < rounds; round++)
        {
            generations = [.. requests.Select(request => engine.Submit(request).Generation!)];
            outcomes = await Task.WhenAll(generations.Select(EngineHarness.CollectAsync));
        }
        Assert.That(engine.GetStatistics().BlocksSwappedIn, options.KvHostBytes > 0 ? Is.Positive : Is.Zero);
        TestContext.Out.WriteLine($"{engine.GetStatistics().Steps} steps, {engine.GetStatistics().Preemptions} preemptions");
        string[] results =
        [
            .. outcomes.SelectMany(tokens => tokens.OrderBy(token => token.Sample).Select(Describe)),
            .. generations.SelectMany(generation => generation.Prompt?.LogProbs ?? []).Select(score => Bits(score.LogProb)),
        ];
        return (results, engine.GetStatistics().Preemptions);
    }

    private static CudaBackend Emulated()
    {
        try
        {
            return new CudaBackend(new CudaBackendOptions { Emulated = true, PoolBytes = 64 << 20 });
        }
        catch (CudaUnavailableException exception)
        {
            Assert.Ignore($"{exception.Message} Overlapped steps on a CUDA device are NOT checked");
            throw;
        }
    }
}
