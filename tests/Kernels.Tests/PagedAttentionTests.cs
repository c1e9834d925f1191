using LlamaServe.Kernels.Tests.Cuda;

namespace LlamaServe.Kernels.Tests;

[TestFixture("cpu")]
[TestFixture("cpu-portable")]
[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
internal sealed class PagedAttentionTests(string backendName) : OpTests(backendName)
{
    [Test]
    public void Every_head_size_and_group_agrees_with_the_reference(
        [Values(8, 64, 80, 96, 128, 256)] int headDim, [Values(1, 2, 4, 8)] int group, [Values] DType type)
    {
        if (Refuses(new KvCacheShape(1, 1, 16, 2, headDim, type)))
        {
            return;
        }
        AttentionShape shape = Shape(2 * group, 2, headDim);
        using PagedSequences sequences = Create(shape, 16, type, 37, 16, 1);
        sequences.Step((0, 19), (1, 16));
        sequences.Step((0, 1), (2, 1));
        sequences.Step((0, 17));
        AssertEqualsReference(sequences, type);
    }

    [TestCase(1)]
    [TestCase(5)]
    [TestCase(16)]
    [TestCase(32)]
    [TestCase(128)]
    public void Every_block_size_agrees_with_the_reference(int blockSize)
    {
        AttentionShape shape = Shape(4, 2, HeadDim(16));
        if (Refuses(new KvCacheShape(1, 1, blockSize, 2, shape.HeadDim, CacheType)))
        {
            return;
        }
        using PagedSequences sequences = Create(shape, blockSize, CacheType, 2 * blockSize + 1, 150, blockSize);
        sequences.Finish(chunk: 40);
        AssertEqualsReference(sequences, CacheType);
    }

    [Test]
    public void Sliding_windows_see_themselves_and_the_tokens_before(
        [Values(1, 2, 16, 17, 64, 100)] int window, [Values(16, 32)] int blockSize, [Values(1, 7, 300)] int chunk)
    {
        using PagedSequences sequences = Create(
            Shape(4, 1, HeadDim(16)) with { SlidingWindow = window }, blockSize, CacheType, Times(300, onCuda: 120), 33);
        sequences.Finish(chunk);
        AssertEqualsReference(sequences, CacheType);
    }

    [Test]
    public void Contexts_of_several_partitions_agree_with_the_reference([Values] DType type, [Values(0, 700)] int window)
    {
        if (Refuses(new KvCacheShape(1, 1, 16, 1, 64, type)))
        {
            return;
        }
        using PagedSequences sequences = Create(Shape(2, 1, HeadDim(16)) with { SlidingWindow = window }, 16, type, Times(1300, onCuda: 800), 513);
        sequences.Finish(chunk: 512);
        AssertEqualsReference(sequences, type);
    }

    [Test]
    public void Chunks_and_batch_mates_do_not_change_a_bit([Values] DType type, [Values(0, 50)] int window, [Values(16, 64)] int headDim)
    {
        if (Refuses(new KvCacheShape(1, 1, 16, 2, headDim, type)))
        {
            return;
        }
        AttentionShape shape = Shape(8, 2, headDim) with { SlidingWindow = window };
        using PagedSequences whole = Create(shape, 16, type, 200);
        whole.Finish(chunk: 200);
        foreach (int chunk in (int[])[1, 3, 16, 64, 129])
        {
            using PagedSequences chunked = Create(shape, 16, type, 200);
            chunked.Finish(chunk);
            AssertSameBits(chunked.Outputs[0], whole.Outputs[0]);
        }

        // The first sequence of a seed is the same whatever follows.
        using PagedSequences crowd = Create(shape, 16, type, [200, .. Enumerable.Range(1, Times(31, onCuda: 6)).Select(i => 7 * i)]);
        crowd.Finish(chunk: 48);
        AssertSameBits(crowd.Outputs[0], whole.Outputs[0]);
    }

    [Test]
    public void Partitions_computed_apart_give_the_same_bits_as_one_after_the_other([Values] DType type, [Values(0, 600)] int window)
    {
        if (Refuses(new KvCacheShape(1, 1, 16, 1, 64, type)))
        {
            return;
        }
        // One sequence with one key/value head is split across threads token by token, and is not split in a crowd.
        int length = Times(1200, onCuda: 700), mates = Times(30, onCuda: 5);
        AttentionShape shape = Shape(4, 1, HeadDim(32)) with { SlidingWindow = window };
        using PagedSequences alone = Create(shape, 16, type, length);
        alone.Step((0, length - 10));
        for (int i = 0; i < 10; i++)
        {
            alone.Step((0, 1));
        }
        using PagedSequences crowd = Create(shape, 16, type, [length, .. Enumerable.Repeat(20, mates)]);
        crowd.Step((0, length - 10));
        for (int i = 0; i < 10; i++)
        {
            crowd.Step([(0, 1), .. Enumerable.Range(1, mates).Select(s => (s, 1))]);
        }
        AssertSameBits(crowd.Outputs[0], alone.Outputs[0]);
    }

    [Test]
    public void Blocks_before_the_window_are_never_looked_up()
    {
        AttentionShape shape = Shape(2, 1, HeadDim(16)) with { SlidingWindow = 20 };
        using KvCache cache = Backend.CreateKvCache(new KvCacheShape(1, 4, 16, 1, shape.HeadDim, CacheType));
        ForwardBatch batch = new(1, 1, 8);
        batch.Add([0], 100, [-1, -1, -1, -1, -1, 1, 2], 16, 1);
        Tensor qkv = UploadRows(new float[shape.QkvColumns], 1, shape.QkvColumns);
        Assert.That(() => Backend.PagedAttention(qkv, batch, shape, cache, 0), Throws.Nothing);
        Assert.That(
            () => Backend.PagedAttention(qkv, batch, shape with { SlidingWindow = 22 }, cache, 0),
            Throws.ArgumentException.With.Message.Contains("block"));
    }

    [Test]
    public void Copied_blocks_answer_like_their_sources([Values] DType type)
    {
        AttentionShape shape = Shape(4, 2, HeadDim(16));
        if (Refuses(new KvCacheShape(1, 1, 16, 2, shape.HeadDim, type)))
        {
            return;
        }
        using PagedSequences sequences = Create(shape, 16, type, 33);
        sequences.Finish(33);
        int blocks = sequences.Cache.Shape.Blocks;
        int[] table = sequences.BlockTable(0);
        int[] spare = Enumerable.Range(0, blocks).Except(table).ToArray();
        Backend.CopyBlocks(sequences.Cache, [.. table.Select((block, i) => new BlockCopy(block, spare[i]))]);

        ForwardBatch batch = new(1, 1, 3);
        batch.Add([0], 32, spare, 16, 1);
        Tensor qkv = UploadRows(sequences.Rows[0].AsSpan(32 * shape.QkvColumns), 1, shape.QkvColumns);
        float[] y = Download(Backend.PagedAttention(qkv, batch, shape, sequences.Cache, 1));
        AssertSameBits(y, sequences.Outputs[0][^shape.OutputColumns..]);
    }

    private static AttentionShape Shape(int heads, int kvHeads, int headDim) => new(heads, kvHeads, headDim, 1 / MathF.Sqrt(headDim), 0);

    private PagedSequences Create(AttentionShape shape, int blockSize, DType type, params int[] contexts) =>
        new(Backend, (values, rows, columns) => UploadRows(values, rows, columns, padding: 3), Download, RowType, shape, blockSize, type, contexts, seed: 7);

    private void AssertEqualsReference(PagedSequences sequences, DType type)
    {
        for (int s = 0; s < sequences.Outputs.Length; s++)
        {
            AssertClose(sequences.Outputs[s], sequences.Reference(s), Tolerance(Tolerances.Of(type)));
        }
    }

    private static void AssertSameBits(float[] actual, float[] expected) =>
        Assert.That(Array.ConvertAll(actual, BitConverter.SingleToInt32Bits), Is.EqualTo(Array.ConvertAll(expected, BitConverter.SingleToInt32Bits)));
}
