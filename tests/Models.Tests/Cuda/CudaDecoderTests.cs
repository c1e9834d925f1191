using LlamaServe.Kernels;
using LlamaServe.Kernels.Cpu;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Models.Tests.Decoders;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Cuda;

/// <summary>
/// The bundled model on a GPU and on the emulated device, through the same kernels and launches, against the CPU backend. Both round
/// keys and values to BF16; the device also rounds what feeds its matrix products, the CPU only what feeds its own BF16 kernels.
/// Not among the tests that load LibTorch first: a machine with a GPU may be without.
/// </summary>
[TestFixture(Emulated, Category = "CudaEmulated")]
[TestFixture(Gpu, Category = "Gpu")]
public sealed class CudaDecoderTests(string kind)
{
    private const string Emulated = "cuda-emulated", Gpu = "cuda";

    private const string Opening = "Once upon a time there was a king who had three sons, and the youngest of them";

    /// <summary>Nats by which log-probabilities may differ, from rounding activations to 8 bits of mantissa in six layers.</summary>
    private const float Tolerance = 0.08f;

    private const int NewTokens = 12;

    [Test]
    public void The_bundled_model_says_what_it_says_on_the_cpu()
    {
        using CudaBackend device = Create();
        using LoadedModel onDevice = ModelLoader.Load(RepositoryPaths.BundledModel, device);
        using CpuBackend host = new();
        using LoadedModel onHost = ModelLoader.Load(RepositoryPaths.BundledModel, host);
        int[] prompt = [.. onHost.Tokenizer.Encode(Opening)];
        using GreedySequence expected = new(onHost.Model, prompt.Length + NewTokens), actual = new(onDevice.Model, prompt.Length + NewTokens);

        ReadOnlySpan<int> input = prompt;
        for (int i = 0; i < NewTokens; i++)
        {
            (int[] ids, float[] logProbs) = expected.Append(input);
            (int[] deviceIds, float[] deviceLogProbs) = actual.Append(input);
            Assert.That(deviceLogProbs, Is.EqualTo(logProbs).Within(Tolerance), $"token {i}");
            // Where two tokens are closer than the rounding, either may come first.
            if (logProbs[0] - logProbs[1] > Tolerance)
            {
                Assert.That(deviceIds[0], Is.EqualTo(ids[0]), $"token {i}");
            }
            input = ids.AsSpan(0, 1);
        }
    }

    private static readonly TinyModel[] Mixtures =
    [
        TinyModel.Mixtral with { HeadDim = 64 },
        TinyModel.Qwen3Moe with { HeadDim = 64 },
    ];

    /// <summary>Every expert for every token: rounding may change which ones are chosen.</summary>
    [TestCaseSource(nameof(Mixtures))]
    public void A_mixture_of_experts_says_what_it_says_on_the_cpu(TinyModel model)
    {
        using TemporaryFolder folder = new();
        TinySnapshot snapshot = TinyModels.Create(model with { BFloat16 = true, ExpertsPerToken = model.Experts }, folder.Path, seed: 5);
        using CudaBackend device = Create();
        using LoadedModel onDevice = ModelLoader.Load(snapshot.Folder, device);
        using CpuBackend host = new();
        using LoadedModel onHost = ModelLoader.Load(snapshot.Folder, host);
        int[] prompt = [.. Enumerable.Range(0, 20).Select(i => i * 37 % model.VocabularySize)];
        using GreedySequence expected = new(onHost.Model, prompt.Length), actual = new(onDevice.Model, prompt.Length);

        float[] logProbs = expected.Append(prompt).LogProbs;

        // Random weights: attention is peaked, so roundings grow more than in a trained model.
        Assert.That(actual.Append(prompt).LogProbs, Is.EqualTo(logProbs).Within(3 * Tolerance));
    }

    [Test]
    public void A_mixture_s_token_is_the_same_however_the_prompt_was_cut()
    {
        using TemporaryFolder folder = new();
        TinySnapshot snapshot = TinyModels.Create(TinyModel.Qwen3Moe with { HeadDim = 64 }, folder.Path, seed: 6);
        using CudaBackend device = Create();
        using LoadedModel model = ModelLoader.Load(snapshot.Folder, device);
        int[] prompt = [.. Enumerable.Range(0, 30).Select(i => i * 41 % 256)];
        using GreedySequence whole = new(model.Model, prompt.Length), cut = new(model.Model, prompt.Length);
        (int[] ids, float[] logProbs) = whole.Append(prompt);
        cut.Append(prompt.AsSpan(0, 11));
        cut.Append(prompt.AsSpan(11, 1));
        Assert.That(cut.Append(prompt.AsSpan(12)), Is.EqualTo((ids, logProbs)));
    }

    [Test]
    public void A_token_is_the_same_however_the_prompt_was_cut()
    {
        using CudaBackend device = Create();
        using LoadedModel bundled = ModelLoader.Load(RepositoryPaths.BundledModel, device);
        int[] prompt = [.. bundled.Tokenizer.Encode(Opening)];
        using GreedySequence whole = new(bundled.Model, prompt.Length), cut = new(bundled.Model, prompt.Length);
        (int[] ids, float[] logProbs) = whole.Append(prompt);
        cut.Append(prompt.AsSpan(0, 7));
        cut.Append(prompt.AsSpan(7, 1));
        Assert.That(cut.Append(prompt.AsSpan(8)), Is.EqualTo((ids, logProbs)));
    }

    /// <summary>A bound that a wrong scale or order of elements would leave far behind; a random order moves them by nats.</summary>
    [TestCase(DType.Fp8, 0.25f)]
    [TestCase(DType.Int8, 0.15f)]
    public void A_cache_of_8_bits_changes_little(DType cacheType, float tolerance)
    {
        using CudaBackend device = Create();
        using LoadedModel bundled = ModelLoader.Load(RepositoryPaths.BundledModel, device);
        int[] prompt = [.. bundled.Tokenizer.Encode(Opening)];
        using GreedySequence expected = new(bundled.Model, prompt.Length + 2), actual = new(bundled.Model, prompt.Length + 2, cacheType);
        ReadOnlySpan<int> input = prompt;
        for (int i = 0; i < 3; i++)
        {
            (int[] ids, float[] logProbs) = expected.Append(input);
            float[] changed = actual.Append(input).LogProbs;
            float difference = logProbs.Zip(changed, (x, y) => Math.Abs(x - y)).Max();
            TestContext.Out.WriteLine($"{cacheType}, token {i}: {difference}");
            Assert.That(difference, Is.LessThanOrEqualTo(tolerance).And.Positive, $"token {i}");
            input = ids.AsSpan(0, 1);
        }
    }

    private CudaBackend Create()
    {
        try
        {
            return new CudaBackend(new CudaBackendOptions { Emulated = kind == Emulated, PoolBytes = 64 << 20 });
        }
        catch (CudaUnavailableException exception)
        {
            Assert.Ignore($"{exception.Message} The CUDA backend is NOT checked");
            throw;
        }
    }
}
