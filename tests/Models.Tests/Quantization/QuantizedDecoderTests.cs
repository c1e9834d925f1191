using LlamaServe.Bench.Torch;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cpu;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Models.Checkpoints;
using LlamaServe.Models.Tests.Decoders;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Quantization;

/// <summary>Whole quantized snapshots against torch on the values that they stand for.</summary>
public sealed class QuantizedDecoderTests
{
    private const int SequenceLength = 20;

    private static readonly TestCaseData[] Configs =
    [
        new TestCaseData(QuantizedSnapshots.Gptq) { TestName = "{m}(GPTQ)" },
        new TestCaseData(QuantizedSnapshots.Gptq8) { TestName = "{m}(GPTQ of 8 bits)" },
        new TestCaseData(QuantizedSnapshots.Awq) { TestName = "{m}(AWQ)" },
        new TestCaseData(QuantizedSnapshots.Int8) { TestName = "{m}(W8A8)" },
        new TestCaseData(QuantizedSnapshots.Fp8) { TestName = "{m}(FP8)" },
    ];

    private static readonly TestCaseData[] ConfigsOnCuda = [.. Configs.Take(3)];

    private TemporaryFolder _folder = null!;

    [OneTimeSetUp]
    public void LoadTorch() => TorchRuntime.EnsureLoaded();

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCaseSource(nameof(Configs))]
    public void Logits_on_the_cpu_equal_torch(string config)
    {
        TinySnapshot snapshot = QuantizedSnapshots.Create(config, _folder.Path, seed: 1);
        using CpuBackend backend = new();
        using CausalLm model = Load(backend);
        using PagedSequence sequence = new(model, SequenceLength);
        Assert.That(NormalisedError.Of(sequence.Append(Tokens), new TorchDecoder(snapshot).Logits(Tokens)), Is.LessThan(NormalisedError.Int8));
    }

    [TestCaseSource(nameof(ConfigsOnCuda))]
    [Category("CudaEmulated")]
    public void Log_probabilities_on_a_cuda_device_equal_torch(string config)
    {
        TinySnapshot snapshot = QuantizedSnapshots.Create(config, _folder.Path, seed: 2);
        using CudaBackend backend = Emulated();
        using CausalLm model = Load(backend);
        using GreedySequence sequence = new(model, SequenceLength);
        (int[] ids, float[] logProbs) = sequence.Append(Tokens);
        double[] logits = new TorchDecoder(snapshot).Logits(Tokens)[^snapshot.Model.VocabularySize..];
        double logSum = Math.Log(logits.Sum(Math.Exp));
        // Activations, keys and values are rounded to 8 bits of mantissa.
        Assert.That(logProbs, Is.EqualTo(ids.Select(id => (float)(logits[id] - logSum))).Within(0.1f));
    }

    private static int[] Tokens { get; } = [.. Enumerable.Range(0, SequenceLength).Select(i => 37 * i % 256)];

    private CausalLm Load(IBackend backend)
    {
        using Checkpoint checkpoint = Checkpoint.OpenSnapshot(_folder.Path);
        return checkpoint.Load(backend, progress: null);
    }

    private static CudaBackend Emulated()
    {
        try
        {
            return new CudaBackend(new CudaBackendOptions { Emulated = true, PoolBytes = 32 << 20 });
        }
        catch (CudaUnavailableException exception)
        {
            Assert.Ignore($"{exception.Message} The CUDA backend is NOT checked");
            throw;
        }
    }
}
