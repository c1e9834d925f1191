using LlamaServe.Kernels;
using LlamaServe.Kernels.Cpu;
using LlamaServe.Models.Checkpoints;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Decoders;

/// <param name="portable">Without the kernels that are assembled for this processor.</param>
[TestFixture(false, TestName = "DecoderTests")]
[TestFixture(true, TestName = "DecoderTests(portable)")]
public sealed class DecoderTests(bool portable)
{
    private const int SequenceLength = 75;

    private static readonly TestCaseData[] Models =
    [
        new TestCaseData(TinyModel.Llama2) { TestName = "{m}(Llama 2)" },
        new TestCaseData(TinyModel.Llama2 with { Tied = true }) { TestName = "{m}(Llama 2, tied)" },
        new TestCaseData(TinyModel.Llama31) { TestName = "{m}(Llama 3.1)" },
        new TestCaseData(TinyModel.Mistral) { TestName = "{m}(Mistral)" },
        new TestCaseData(TinyModel.Qwen2) { TestName = "{m}(Qwen2.5)" },
        new TestCaseData(TinyModel.Qwen2 with { Tied = false }) { TestName = "{m}(Qwen2.5, untied)" },
        new TestCaseData(TinyModel.Qwen3) { TestName = "{m}(Qwen3)" },
        new TestCaseData(TinyModel.Qwen3 with { Tied = false }) { TestName = "{m}(Qwen3, untied)" },
        new TestCaseData(TinyModel.Mixtral) { TestName = "{m}(Mixtral)" },
        new TestCaseData(TinyModel.Mixtral with { SlidingWindow = 11 }) { TestName = "{m}(Mixtral, window)" },
        new TestCaseData(TinyModel.Qwen3Moe) { TestName = "{m}(Qwen3-MoE)" },
        new TestCaseData(TinyModel.Qwen3Moe with { NormalizesExperts = true, Tied = true }) { TestName = "{m}(Qwen3-MoE, renormalized)" },
    ];

    private CpuBackend _backend = null!;
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => (_backend, _folder) = (new CpuBackend(new CpuBackendOptions { Portable = portable }), new TemporaryFolder());

    [TearDown]
    public void TearDown()
    {
        _backend.Dispose();
        _folder.Dispose();
    }

    [TestCaseSource(nameof(Models))]
    public void Logits_of_f32_weights_equal_torch(TinyModel model) => Compare(model, NormalisedError.F32);

    /// <summary>Every expert for every token: rounding may change which ones are chosen.</summary>
    [TestCaseSource(nameof(Models))]
    public void Logits_of_bf16_weights_equal_torch(TinyModel model) =>
        Compare(model with { BFloat16 = true, ExpertsPerToken = model.Experts }, NormalisedError.BF16);

    [Test]
    public void Keys_and_values_may_be_kept_as_bf16()
    {
        TinySnapshot snapshot = TinyModels.Create(TinyModel.Llama31, _folder.Path, seed: 8);
        int[] tokens = Tokens(snapshot.Model);
        using CausalLm decoder = Load(snapshot);
        using PagedSequence sequence = new(decoder, SequenceLength, DType.BF16);

        Assert.That(NormalisedError.Of(sequence.Append(tokens), new TorchDecoder(snapshot).Logits(tokens)), Is.LessThan(NormalisedError.BF16));
    }

    [TestCaseSource(nameof(Models))]
    public void Chunks_give_the_same_bits_as_the_whole(TinyModel model)
    {
        using CausalLm decoder = Load(TinyModels.Create(model, _folder.Path, seed: 3));
        int[] tokens = Tokens(model);
        using PagedSequence whole = new(decoder, SequenceLength);
        float[] expected = whole.Append(tokens);

        using PagedSequence chunked = new(decoder, SequenceLength);
        List<float> actual = [];
        foreach (int chunk in (int[])[1, 7, 16, 3, 1, 1, 30, 16])
        {
            actual.AddRange(chunked.Append(tokens.AsSpan(chunked.Length, chunk)));
        }

        Assert.That(actual, Has.Count.EqualTo(expected.Length));
        Assert.That(actual.Select(BitConverter.SingleToUInt32Bits), Is.EqualTo(expected.Select(BitConverter.SingleToUInt32Bits)));
    }

    [Test]
    public void Only_the_rows_asked_for_have_logits()
    {
        using CausalLm decoder = Load(TinyModels.Create(TinyModel.Llama31, _folder.Path, seed: 4));
        int[] tokens = Tokens(TinyModel.Llama31);
        using PagedSequence all = new(decoder, SequenceLength);
        using PagedSequence last = new(decoder, SequenceLength);

        float[] rows = all.Append(tokens);

        Assert.That(last.AppendForLast(tokens), Is.EqualTo(rows[^decoder.Config.VocabularySize..]));
    }

    [Test]
    public void A_step_without_logits_gives_no_rows()
    {
        using CausalLm decoder = Load(TinyModels.Create(TinyModel.Qwen2, _folder.Path, seed: 5));
        using KvCache cache = _backend.CreateKvCache(decoder.CacheShape(blocks: 1, blockSize: 8, DType.F32));
        ForwardBatch batch = new(maxTokens: 8, maxSequences: 1, maxBlocksPerSequence: 1);
        batch.Add([1, 2, 3], firstPosition: 0, [0], blockSize: 8, logitsFrom: 3);

        Tensor logits = decoder.Forward(batch, cache);

        Assert.That((logits.Rows, logits.Columns), Is.EqualTo((0, decoder.Config.VocabularySize)));
    }

    [Test]
    public void A_step_allocates_nothing()
    {
        using CausalLm decoder = Load(TinyModels.Create(TinyModel.Qwen3, _folder.Path, seed: 6));
        using KvCache cache = _backend.CreateKvCache(decoder.CacheShape(blocks: 4, blockSize: 8, DType.F32));
        ForwardBatch batch = new(maxTokens: 8, maxSequences: 2, maxBlocksPerSequence: 2);
        decoder.Reserve(maxTokens: 8, maxLogitsRows: 8);
        long least = long.MaxValue;
        // The first round warms up; the least counts, as the runtime itself allocates now and then.
        for (int round = 0; round < 4; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int position = 0; position < 9; position++)
            {
                Step(position);
            }
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.That(least, Is.Zero);

        void Step(int position)
        {
            batch.Clear();
            batch.Add([1], position, [2, 0], blockSize: 8, logitsFrom: 0);
            batch.Add([2], position, [1, 3], blockSize: 8, logitsFrom: 0);
            decoder.Forward(batch, cache);
            _backend.ResetStep();
        }
    }

    private void Compare(TinyModel model, double tolerance)
    {
        TinySnapshot snapshot = TinyModels.Create(model, _folder.Path, seed: 2);
        int[] tokens = Tokens(model);
        using CausalLm decoder = Load(snapshot);
        using PagedSequence sequence = new(decoder, SequenceLength);

        float[] logits = sequence.Append(tokens);

        Assert.That(NormalisedError.Of(logits, new TorchDecoder(snapshot).Logits(tokens)), Is.LessThan(tolerance));
    }

    private CausalLm Load(TinySnapshot snapshot)
    {
        using Checkpoint checkpoint = Checkpoint.OpenSnapshot(snapshot.Folder);
        return checkpoint.Load(_backend, progress: null);
    }

    private static int[] Tokens(TinyModel model)
    {
        Random random = new(7);
        return [.. Enumerable.Range(0, SequenceLength).Select(_ => random.Next(model.VocabularySize))];
    }
}
