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
    private static readonly TinyModel Model = TinyModel.Llama31 with { HiddenSize = 128, HeadDim = 64, Heads = 2, KvHeads = 1, Layers = 2 };

    /// <summary>Room for some of the requests at a time, and prompts in pieces.</summary>
    private static readonly EngineOptions Options = new()
    {
        TokenBudget = 24,
        MaxSequences = 6,
        MinPrefillTokens = 8,
        MaxContextLength = 128,
        StepTimeTarget = TimeSpan.Zero,
        KvCacheBytes = 10 * 16 * 2 * 2 * 64 * 2,
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

    private readonly TemporaryFolder _folder = new();

    [OneTimeSetUp]
    public void WriteModel() => TinyModels.Create(Model, _folder.Path, seed: 1);

    [OneTimeTearDown]
    public void DeleteModel() => _folder.Dispose();

    [Test]
    [Category("CudaEmulated")]
    public async Task Overlapped_steps_give_the_same_ids_and_log_probabilities()
    {
        string[] expected = await GenerateAsync(overlaps: false);
        Assert.That(await GenerateAsync(overlaps: true), Is.EqualTo(expected));
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

    /// <summary>Everything that the requests get, sample by sample.</summary>
    private async Task<string[]> GenerateAsync(bool overlaps)
    {
        EngineOptions options = Options with { OverlapSteps = overlaps };
        CudaBackend backend = Emulated();
        await using var engine = new LlamaEngine(
            () =>
            {
                var runner = ModelRunner.Create(ModelLoader.Load(_folder.Path, backend), options);
                Assert.That(runner.Overlaps, Is.EqualTo(overlaps));
                return runner;
            },
            options,
            checksEachStep: true);
        await engine.StartAsync();
        List<Generation> generations = [.. Requests.Select(request => engine.Submit(request).Generation!)];
        List<GeneratedToken>[] outcomes = await Task.WhenAll(generations.Select(EngineHarness.CollectAsync));
        Assert.That(outcomes[3].Finish().Reason, Is.EqualTo(FinishReason.Stop), "an end that only the token tells");
        TestContext.Out.WriteLine($"{engine.GetStatistics().Steps} steps, {engine.GetStatistics().Preemptions} preemptions");
        return
        [
            .. outcomes.SelectMany(tokens => tokens.OrderBy(token => token.Sample).Select(Describe)),
            .. generations[4].Prompt!.LogProbs!.Select(score => Bits(score.LogProb)),
        ];
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
