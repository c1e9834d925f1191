using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>Decode steps from captured graphs: bit for bit what the launches give one by one, whoever takes part in the step.</summary>
[Category(Toolchain.Emulated)]
internal sealed class StepGraphTests
{
    private static readonly int[] Prompts = [3, 15, 16, 40, 255, 300, 1, 31];

    private readonly int[] _lengths = new int[Prompts.Length];
    private readonly int[][] _tables = [.. Enumerable.Range(0, Prompts.Length).Select(s => Enumerable.Range(0, 24).Select(b => b * Prompts.Length + s).ToArray())];

    [SetUp]
    public void RequireDevice() => TestDevice.Require(TestDevice.Emulated);

    [Test]
    public void A_graph_gives_the_bits_of_its_launches()
    {
        using TinyCudaDecoder replayed = Create(), eager = Create();
        int[][] steps = [[0, 1, 2], [2, 1, 0, 3], [0, 1, 3], [4, 5, 2], [5, 4, 3, 2], [7], [7], [1], [0, 1, 2, 3, 4, 5, 6, 7], [7, 6, 5, 4, 3], [3, 1, 5, 7, 2, 0]];
        Prefill(replayed, eager);
        for (int step = 0; step < steps.Length; step++)
        {
            Clear(replayed, eager);
            foreach (int sequence in steps[step])
            {
                Append(sequence, [(step * 7 + sequence * 3) % TinyCudaDecoder.Vocabulary], replayed, eager);
            }
            AssertSameBits(replayed.Run(), eager.Eager(), $"step {step}");
            Assert.That(replayed.Batch.TokenCount, Is.EqualTo(steps[step].Length));
        }
        Assert.That(replayed.Backend.Graphs.Replays, Is.EqualTo(8), "buckets of 4, 1 and 8 rows run once without a graph, and then from it");
    }

    [Test]
    public void A_replayed_step_allocates_nothing()
    {
        using TinyCudaDecoder decoder = Create();
        Prefill(decoder);
        long least = long.MaxValue;
        for (int step = 0; step < 10; step++)
        {
            Clear(decoder);
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int sequence = 0; sequence < 3; sequence++)
            {
                decoder.Batch.Add([step], _lengths[sequence]++, _tables[sequence], TinyCudaDecoder.BlockSize, 0);
            }
            decoder.Submit();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        Assert.That(decoder.Backend.Graphs.Replays, Is.EqualTo(9));
        Assert.That(least, Is.Zero);
    }

    [Test]
    public void What_cannot_be_captured_runs_launch_by_launch_and_is_told_once()
    {
        List<string> warnings = [];
        CudaBackendOptions options = new() { Emulated = true, PoolBytes = 32 << 20, Warn = warnings.Add };
        using TinyCudaDecoder decoder = new(options, runtime => runtime.Stream.Synchronize()), eager = Create();
        Prefill(decoder, eager);
        for (int step = 0; step < 4; step++)
        {
            Clear(decoder, eager);
            Append(0, [step], decoder, eager);
            Append(1, [step], decoder, eager);
            AssertSameBits(decoder.Run(), eager.Eager(), $"step {step}");
        }
        Assert.That(decoder.Backend.Graphs.Replays, Is.Zero);
        Assert.That(warnings, Has.Exactly(1).Contains("without CUDA graphs"));
    }

    [Test]
    public void Graphs_are_captured_anew_when_memory_has_moved()
    {
        using TinyCudaDecoder replayed = Create(), eager = Create();
        int[] table = [.. Enumerable.Range(0, 260)];
        // Rotations of the first 4096 positions have a place of their own.
        foreach (int position in new[] { 100, 101, 102, 4100, 4101, 4102 })
        {
            Clear(replayed, eager);
            replayed.Batch.Add([position % 40], position, table, TinyCudaDecoder.BlockSize, 0);
            eager.Batch.Add([position % 40], position, table, TinyCudaDecoder.BlockSize, 0);
            AssertSameBits(replayed.Run(), eager.Eager(), $"position {position}");
        }
        Assert.That(replayed.Backend.Graphs.Replays, Is.EqualTo(4));
    }

    [Test]
    public void A_replayed_step_is_checked_like_any_other()
    {
        using TinyCudaDecoder decoder = Create();
        for (int step = 0; step < 3; step++)
        {
            Step(id: 1, block: 5);
        }
        Assert.Multiple(() =>
        {
            Assert.That(() => Step(id: TinyCudaDecoder.Vocabulary, block: 5), Throws.ArgumentException.With.Message.Contains("token id 40"));
            Assert.That(() => Step(id: 1, block: decoder.Cache.Shape.Blocks), Throws.ArgumentException.With.Message.Contains("block 700"));
        });

        void Step(int id, int block)
        {
            decoder.Batch.Clear();
            decoder.Batch.Add([id], 3, [block], TinyCudaDecoder.BlockSize, 0);
            decoder.Submit();
        }
    }

    [Test]
    public void A_graph_reads_blocks_that_were_swapped_out_and_in()
    {
        using TinyCudaDecoder replayed = Create(), eager = Create();
        Prefill(replayed, eager);
        for (int step = 0; step < 4; step++)
        {
            Clear(replayed, eager);
            Append(3, [step], replayed, eager);
            int[] blocks = _tables[3][..3];
            replayed.Backend.SwapBlocks(replayed.Cache, [.. blocks.Select((block, i) => new BlockSwap(block, i + step, ToHost: true))]);
            replayed.Backend.CopyBlocks(replayed.Cache, [.. blocks.Select(block => new BlockCopy(TinyCudaDecoder.Blocks - 1, block))]);
            replayed.Backend.SwapBlocks(replayed.Cache, [.. blocks.Select((block, i) => new BlockSwap(block, i + step, ToHost: false))]);
            AssertSameBits(replayed.Run(), eager.Eager(), $"step {step}");
        }
        Assert.That(replayed.Backend.Graphs.Replays, Is.EqualTo(3));
    }

    [Test]
    public void Buckets_are_few_and_never_reach_into_the_next_tile()
    {
        int[] buckets = [.. Enumerable.Range(1, DecodeBuckets.Largest).Select(DecodeBuckets.Of)];
        Assert.That(buckets.Distinct().Count(), Is.LessThan(80));
        Assert.That(buckets, Is.Ordered);
        for (int rows = 1; rows <= buckets.Length; rows++)
        {
            Assert.That(buckets[rows - 1], Is.InRange(rows, Math.Max(8, rows + rows / 8 + 7)), $"{rows} rows");
            Assert.That(DecodeBuckets.Of(buckets[rows - 1]), Is.EqualTo(buckets[rows - 1]), "a bucket is its own");
        }
        Assert.That(DecodeBuckets.Of(DecodeBuckets.Largest + 1), Is.Zero);
    }

    [Test]
    public void Tables_are_sent_from_the_first_block_that_differs()
    {
        BlockTableChanges changes = new(2, 4);
        Assert.Multiple(() =>
        {
            Assert.That(Take(1, 5, 6), Is.EqualTo((0, "5 6")));
            Assert.That(Take(1, 5, 6), Is.EqualTo((2, "")));
            Assert.That(Take(1, 5, 6, 7), Is.EqualTo((2, "7")));
            Assert.That(Take(1, 5, 8), Is.EqualTo((1, "8")), "the sequence is another one");
            Assert.That(Take(1, 5, 8, 7), Is.EqualTo((3, "")), "what lies behind is still there");
            Assert.That(Take(0, 5), Is.EqualTo((0, "5")), "rows are apart");
        });
        changes.Forget();
        Assert.That(Take(0, 5), Is.EqualTo((0, "5")));

        (int, string) Take(int row, params int[] table)
        {
            string changed = string.Join(' ', changes.Take(row, table, out int first).ToArray());
            return (first, changed);
        }
    }

    private static TinyCudaDecoder Create() => new(new CudaBackendOptions { Emulated = true, PoolBytes = 32 << 20 });

    private static void AssertSameBits(float[] actual, float[] expected, string what)
    {
        Assert.That(expected, Has.None.NaN);
        Assert.That(MemoryMarshal.Cast<float, int>(actual).ToArray(), Is.EqualTo(MemoryMarshal.Cast<float, int>(expected).ToArray()), what);
    }

    private static void Clear(params TinyCudaDecoder[] decoders) => Array.ForEach(decoders, decoder => decoder.Batch.Clear());

    /// <summary>Computes the prompts in all decoders, one sequence a step.</summary>
    private void Prefill(params TinyCudaDecoder[] decoders)
    {
        Array.Clear(_lengths);
        for (int sequence = 0; sequence < Prompts.Length; sequence++)
        {
            int[] ids = [.. Enumerable.Range(0, Prompts[sequence]).Select(i => (i * 5 + sequence) % TinyCudaDecoder.Vocabulary)];
            Clear(decoders);
            Append(sequence, ids, decoders);
            Array.ForEach(decoders, decoder => decoder.Eager());
        }
    }

    private void Append(int sequence, int[] ids, params TinyCudaDecoder[] decoders)
    {
        foreach (TinyCudaDecoder decoder in decoders)
        {
            decoder.Batch.Add(ids, _lengths[sequence], _tables[sequence], TinyCudaDecoder.BlockSize, ids.Length - 1);
        }
        _lengths[sequence] += ids.Length;
    }
}
