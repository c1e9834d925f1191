using LlamaServe.Kernels.Tests.Cuda;

namespace LlamaServe.Kernels.Tests;

[TestFixture("cpu")]
[TestFixture("cpu-portable")]
[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
internal sealed class TreeAttentionTests(string backendName) : OpTests(backendName)
{
    [Test]
    public void Drafts_see_their_ancestors_alone([Values(64, 256)] int headDim, [Values] DType type, [Values(0, 40)] int window)
    {
        if (Refuses(new KvCacheShape(1, 1, 16, 2, headDim, type)))
        {
            return;
        }
        // Trees behind one token, behind a stretch of prompt, across a boundary of tiles, and of one level.
        ulong[] wide = DraftTree.Random(21, 1), late = DraftTree.Random(9, 2), flat = DraftTree.Of(-1, -1, -1);
        using PagedSequences sequences = Create(Shape(4, 2, headDim) with { SlidingWindow = window }, type, 51 + 21, 33 + 9, 17 + 3, 12);
        sequences.Step((0, 50), (1, 20), (2, 16), (3, 4));
        sequences.Step((0, 1 + 21, wide), (1, 13 + 9, late), (2, 1 + 3, flat), (3, 8, []));
        AssertEqualsReference(sequences, type, (0, 51, wide), (1, 33, late), (2, 17, flat));
        AssertClose(sequences.Outputs[3], sequences.Reference(3), Tolerance(Tolerances.Of(type)));
    }

    [TestCase(0)]
    [TestCase(100)]
    public void Large_trees_cross_chunks_of_the_context(int window)
    {
        // 256 is a chunk's boundary on a GPU, 512 a partition's on the CPU.
        int committed = Times(500, onCuda: 240);
        ulong[] tree = DraftTree.Random(64, 3);
        using PagedSequences sequences = Create(Shape(2, 1, HeadDim(16)) with { SlidingWindow = window }, CacheType, committed + 64);
        sequences.Step((0, committed - 1));
        sequences.Step((0, 65, tree));
        AssertEqualsReference(sequences, CacheType, (0, committed, tree));
    }

    [Test]
    public void Trees_among_long_prompts_agree_with_the_reference()
    {
        // Enough prompt that an emulated GPU's few multiprocessors get whole tiles, the tree's among them.
        ulong[] tree = DraftTree.Random(40, 4);
        using PagedSequences sequences = Create(Shape(8, 2, HeadDim(16)), CacheType, 30 + 40, 150, 150);
        sequences.Step((0, 29));
        sequences.Step((0, 41, tree), (1, 150, []), (2, 150, []));
        AssertEqualsReference(sequences, CacheType, (0, 30, tree));
        AssertClose(sequences.Outputs[1], sequences.Reference(1), Tolerance(Tolerances.Of(CacheType)));
    }

    [Test]
    public void A_path_without_gaps_has_the_bits_of_a_chain([Values] DType type)
    {
        if (Refuses(new KvCacheShape(1, 1, 16, 2, 64, type)))
        {
            return;
        }
        const int Committed = 60, Path = 7, Drafts = 20;
        int[] parents = [.. Enumerable.Range(-1, Path), .. Enumerable.Range(0, Drafts - Path).Select(i => i % Path - 1)];
        AttentionShape shape = Shape(4, 2, 64);
        using PagedSequences chain = Create(shape, type, Committed + Drafts);
        chain.Step((0, Committed - 1));
        chain.Step((0, 1 + Path));
        using PagedSequences tree = Create(shape, type, Committed + Drafts);
        tree.Step((0, Committed - 1));
        tree.Step((0, 1 + Drafts, DraftTree.Of(parents)));
        for (int place = Committed - 1; place < Committed + Path; place++)
        {
            Assert.That(tree.Output(0, place), Is.EqualTo(chain.Output(0, place)), $"place {place}");
        }
        Assert.That(tree.Output(0, Committed + Path), Is.Not.EqualTo(chain.Output(0, Committed + Path)), "a token beside the path");
    }

    [Test]
    public void Batch_mates_with_trees_do_not_change_a_bit([Values(0, 50)] int window)
    {
        AttentionShape shape = Shape(8, 2, HeadDim(16)) with { SlidingWindow = window };
        using PagedSequences alone = Create(shape, CacheType, 90, 70);
        alone.Step((0, 80), (1, 40));
        alone.Step((0, 1));
        alone.Step((0, 9), (1, 1));
        using PagedSequences crowd = Create(shape, CacheType, 90, 70);
        crowd.Step((0, 80), (1, 40));
        crowd.Step((0, 1, []), (1, 30, DraftTree.Random(29, 5)));
        crowd.Step((0, 9));
        Assert.That(crowd.Outputs[0], Is.EqualTo(alone.Outputs[0]));
        Assert.That(crowd.Output(1, 40), Is.EqualTo(alone.Output(1, 40)), "the token before the tree");
    }

    [Test]
    public void A_tree_deeper_than_the_window_is_refused()
    {
        AttentionShape shape = Shape(2, 1, HeadDim(16)) with { SlidingWindow = 2 };
        using KvCache cache = Backend.CreateKvCache(new KvCacheShape(1, 4, 16, 1, shape.HeadDim, CacheType));
        ForwardBatch batch = new(5, 1, 4);
        batch.AddTree(new int[5], DraftTree.Of(-1, -1, 0, 1), 3, [0, 1, 2, 3], 16, 0);
        Tensor qkv = UploadRows(new float[5 * shape.QkvColumns], 5, shape.QkvColumns);
        Assert.That(() => Backend.PagedAttention(qkv, batch, shape, cache, 0), Throws.Nothing);
        batch.Clear();
        batch.AddTree(new int[5], DraftTree.Of(-1, -1, 1, 2), 3, [0, 1, 2, 3], 16, 0);
        Assert.That(() => Backend.PagedAttention(qkv, batch, shape, cache, 0), Throws.ArgumentException.With.Message.Contains("3 tokens deep"));
    }

    private static AttentionShape Shape(int heads, int kvHeads, int headDim) => new(heads, kvHeads, headDim, 1 / MathF.Sqrt(headDim), 0);

    private PagedSequences Create(AttentionShape shape, DType type, params int[] contexts) =>
        new(Backend, (values, rows, columns) => UploadRows(values, rows, columns, padding: 3), Download, RowType, shape, 16, type, contexts, seed: 11);

    private void AssertEqualsReference(PagedSequences sequences, DType type, params (int Sequence, int Start, ulong[] Tree)[] trees)
    {
        foreach ((int sequence, int start, ulong[] tree) in trees)
        {
            float[] actual = [.. Enumerable.Range(start, tree.Length).SelectMany(place => sequences.Output(sequence, place))];
            double[] expected = [.. Enumerable.Range(0, tree.Length).SelectMany(node => sequences.TreeReference(sequence, start, tree, node))];
            AssertClose(actual, expected, Tolerance(Tolerances.Of(type)));
        }
    }
}
