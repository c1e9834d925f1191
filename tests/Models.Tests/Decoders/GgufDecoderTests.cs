using LlamaServe.Kernels.Cpu;
using LlamaServe.Models.Checkpoints;
using LlamaServe.Models.Configuration;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Decoders;

public sealed class GgufDecoderTests
{
    private const int SequenceLength = 60;

    private static readonly TestCaseData[] Models =
    [
        new TestCaseData(TinyModel.Llama2, Architecture.Llama) { TestName = "{m}(Llama 2)" },
        new TestCaseData(TinyModel.Llama31 with { Tied = true }, Architecture.Llama) { TestName = "{m}(Llama 3.1, tied)" },
        new TestCaseData(TinyModel.Mistral, Architecture.Mistral) { TestName = "{m}(Mistral)" },
        new TestCaseData(TinyModel.Qwen2, Architecture.Qwen2) { TestName = "{m}(Qwen2.5, tied)" },
        new TestCaseData(TinyModel.Qwen3 with { Tied = false }, Architecture.Qwen3) { TestName = "{m}(Qwen3)" },
        new TestCaseData(TinyModel.Mixtral, Architecture.Mixtral) { TestName = "{m}(Mixtral)" },
        new TestCaseData(TinyModel.Qwen3Moe with { NormalizesExperts = true, DenseLayers = [] }, Architecture.Qwen3Moe) { TestName = "{m}(Qwen3-MoE)" },
    ];

    [TestCaseSource(nameof(Models))]
    public void Logits_of_f32_weights_equal_torch(TinyModel model, Architecture architecture) =>
        Compare(model, architecture, _ => false, NormalisedError.F32);

    /// <summary>Every expert for every token: rounding may change which ones are chosen.</summary>
    [TestCaseSource(nameof(Models))]
    public void Logits_of_q8_0_weights_equal_torch(TinyModel model, Architecture architecture) =>
        Compare(model with { ExpertsPerToken = model.Experts }, architecture, _ => true, NormalisedError.Int8);

    [Test]
    public void Fused_matrices_may_mix_formats() => Compare(
        TinyModel.Llama31, Architecture.Llama,
        name => name.Contains("attn_k", StringComparison.Ordinal) || name.Contains("ffn_up", StringComparison.Ordinal), NormalisedError.Int8);

    private static void Compare(TinyModel model, Architecture architecture, Func<string, bool> quantizes, double tolerance)
    {
        using TemporaryFolder folder = new();
        TinySnapshot snapshot = TinyModels.Create(model, folder.Path, seed: 11);
        TinyGguf gguf = new(snapshot) { Quantizes = quantizes };
        File.WriteAllBytes(folder.File("tiny.gguf"), gguf.ToBytes());
        Random random = new(12);
        int[] tokens = [.. Enumerable.Range(0, SequenceLength).Select(_ => random.Next(model.VocabularySize))];
        using CpuBackend backend = new();
        using Checkpoint checkpoint = Checkpoint.OpenGguf(GgufFile.Open(folder.File("tiny.gguf")));
        using CausalLm decoder = checkpoint.Load(backend, progress: null);
        using PagedSequence sequence = new(decoder, SequenceLength);

        float[] logits = sequence.Append(tokens);

        Assert.That(decoder.Config.Architecture, Is.EqualTo(architecture));
        double[] expected = new TorchDecoder(snapshot with { Tensors = gguf.Stored }).Logits(tokens);
        Assert.That(NormalisedError.Of(logits, expected), Is.LessThan(tolerance));
    }
}
