using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>A step that is started before the one whose tokens it computes is done.</summary>
[Category(Toolchain.Emulated)]
internal sealed class CudaOverlapTests
{
    private const int Sequences = 3, Steps = 9;

    private static readonly SamplingRow Greedy = new() { TopP = 1, RepetitionPenalty = 1, TargetId = -1, LogProb = true };

    private static readonly SamplingRow[] Samplings =
    [
        Greedy with { TopLogProbs = 3, PresencePenalty = 0.5f },
        Greedy with { Temperature = 1.5f, Seed = 5, RepetitionPenalty = 1.3f, BiasIds = new[] { 7 }, BiasValues = new[] { 1.5f } },
        Greedy with { Temperature = 2, Seed = 6, TopK = 20, FrequencyPenalty = 0.7f, TopLogProbs = 1 },
    ];

    [SetUp]
    public void RequireDevice() => TestDevice.Require(TestDevice.Emulated);

    [Test]
    public void It_gives_the_ids_and_log_probabilities_of_steps_one_after_the_other()
    {
        using TinyCudaDecoder overlapped = Create(), alone = Create();
        List<string> expected = Generate(alone, overlaps: false);
        Assert.That(Generate(overlapped, overlaps: true), Is.EqualTo(expected));
        Assert.That(expected, Has.Count.EqualTo(Steps * Sequences).And.Unique);
        Assert.That(overlapped.Backend.Graphs.Replays, Is.EqualTo(Steps - 2), "captured steps look chosen tokens up as well");
    }

    [Test]
    public unsafe void Where_nothing_could_be_chosen_the_step_behind_goes_on_with_any_token()
    {
        using TinyCudaDecoder decoder = Create();
        using CudaDeviceVariable<float> logits = new(decoder.Backend.Runtime.Context, TinyCudaDecoder.Vocabulary);
        logits.CopyToDevice([.. Enumerable.Repeat(float.NaN, TinyCudaDecoder.Vocabulary)]);
        SamplingBatch first = Batch(Greedy), second = Batch(Greedy with { PresencePenalty = 1, Tokens = new[] { ~0 } });
        decoder.Backend.StartSample(new Tensor((nint)logits.Pointer.Address, 1, TinyCudaDecoder.Vocabulary, TinyCudaDecoder.Vocabulary, DType.F32), first);
        decoder.Batch.Add([~0], 0, [1], TinyCudaDecoder.BlockSize, 0);
        decoder.Backend.StartSample(decoder.Submit(), second);
        decoder.Backend.FinishSample(first);
        decoder.Backend.FinishSample(second);
        Assert.That(first.TokenIds[0], Is.EqualTo(-1));
        Assert.That(second.TokenIds[0], Is.InRange(0, TinyCudaDecoder.Vocabulary - 1));
    }

    [Test]
    public void Tokens_that_nobody_chooses_are_refused()
    {
        using TinyCudaDecoder decoder = Create();
        Assert.That(() => Start(~0), Throws.ArgumentException.With.Message.Contains("row 0 of a step with 0 rows"), "no step is under way");
        SamplingBatch first = Start(3);
        Assert.Multiple(() =>
        {
            Assert.That(() => Start(~1), Throws.ArgumentException.With.Message.Contains("row 1 of a step with 1 rows"));
            Assert.That(() => Start(4, ~1), Throws.ArgumentException.With.Message.Contains("row 1"), "in the tokens of a row with penalties");
        });
        SamplingBatch second = Start(~0);
        Assert.That(() => Start(~0), Throws.ArgumentException.With.Message.Contains("2 steps are under way"));
        decoder.Backend.FinishSample(first);
        decoder.Backend.FinishSample(second);
        Assert.That(() => decoder.Backend.FinishSample(second), Throws.ArgumentException.With.Message.Contains("no step"));

        SamplingBatch Start(int id, int known = 0)
        {
            decoder.Batch.Clear();
            decoder.Batch.Add([id], 0, [1], TinyCudaDecoder.BlockSize, 0);
            SamplingBatch batch = Batch(Greedy with { PresencePenalty = 1, Tokens = new[] { known } });
            decoder.Backend.StartSample(decoder.Submit(), batch);
            return batch;
        }
    }

    [Test]
    public void A_step_that_samples_nothing_is_waited_for_too()
    {
        using TinyCudaDecoder decoder = Create();
        SamplingBatch nothing = new(1);
        decoder.Batch.Add([1, 2, 3], 0, [1], TinyCudaDecoder.BlockSize, logitsFrom: 3);
        decoder.Backend.StartSample(decoder.Submit(), nothing);
        decoder.Batch.Clear();
        decoder.Batch.Add([4], 3, [1], TinyCudaDecoder.BlockSize, 0);
        SamplingBatch one = Batch(Greedy);
        decoder.Backend.StartSample(decoder.Submit(), one);
        decoder.Backend.FinishSample(nothing);
        decoder.Backend.FinishSample(one);
        Assert.That(one.LogProbs[0], Is.Negative);
    }

    private static TinyCudaDecoder Create() => new(new CudaBackendOptions { Emulated = true, PoolBytes = 32 << 20 });

    private static SamplingBatch Batch(SamplingRow row)
    {
        SamplingBatch batch = new(1);
        batch.Add(row);
        return batch;
    }

    /// <summary>Results in order, as text. The rows change places from step to step.</summary>
    private static List<string> Generate(TinyCudaDecoder decoder, bool overlaps)
    {
        List<int>[] tokens = [.. Enumerable.Range(0, Sequences).Select(s => Enumerable.Range(0, 5 + 6 * s).Select(i => (i * 7 + s) % TinyCudaDecoder.Vocabulary).ToList())];
        int[] prompts = [.. tokens.Select(list => list.Count)];
        List<string> results = [];
        (SamplingBatch Batch, int Step)? underWay = null;
        for (int step = 0; step < Steps; step++)
        {
            SamplingBatch batch = Fill(decoder, tokens, prompts, step);
            decoder.Backend.StartSample(decoder.Submit(), batch);
            (SamplingBatch Batch, int Step)? done = overlaps ? underWay : (batch, step);
            if (done is var (finished, _))
            {
                decoder.Backend.FinishSample(finished);
            }
            for (int row = 0; row < Sequences; row++)
            {
                tokens[Sequence(row, step)].Add(~row);
            }
            Record(done);
            underWay = (batch, step);
        }
        if (overlaps)
        {
            decoder.Backend.FinishSample(underWay!.Value.Batch);
            Record(underWay);
        }
        return results;

        void Record((SamplingBatch Batch, int Step)? done)
        {
            for (int row = 0; done is var (batch, step) && row < Sequences; row++)
            {
                int sequence = Sequence(row, step);
                tokens[sequence][prompts[sequence] + step] = batch.TokenIds[row];
                string tops = string.Join(' ', batch.TopIds(row)[..Samplings[sequence].TopLogProbs].ToArray());
                results.Add($"{step} {sequence}: {batch.TokenIds[row]} {BitConverter.SingleToInt32Bits(batch.LogProbs[row]):x} {tops}");
            }
        }
    }

    private static SamplingBatch Fill(TinyCudaDecoder decoder, List<int>[] tokens, int[] prompts, int step)
    {
        SamplingBatch batch = new(Sequences);
        decoder.Batch.Clear();
        for (int row = 0; row < Sequences; row++)
        {
            int sequence = Sequence(row, step), computed = step == 0 ? 0 : prompts[sequence] + step - 1;
            int[] known = [.. tokens[sequence]];
            int[] table = [.. Enumerable.Range(0, 4).Select(block => block * Sequences + sequence)];
            decoder.Batch.Add(known.AsSpan(computed), computed, table, TinyCudaDecoder.BlockSize, known.Length - computed - 1);
            batch.Add(Samplings[sequence] with { Tokens = known, PromptLength = prompts[sequence], Counter = (ulong)step });
        }
        return batch;
    }

    private static int Sequence(int row, int step) => (row + step) % Sequences;
}
