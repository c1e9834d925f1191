using LlamaServe.Kernels.Tests.Cuda;

namespace LlamaServe.Kernels.Tests;

[TestFixture("cpu")]
[TestFixture("cpu-portable")]
[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
internal sealed class CompactDraftsTests(string backendName) : OpTests(backendName)
{
    private const int Committed = 13, Drafts = 12;

    /// <summary>Where the accepted drafts 1, 3, 4, 7, 8 and 11 end up, a further token sees what it would see without the others.</summary>
    [Test]
    public void Accepted_drafts_lie_behind_the_committed_tokens([Values(64, 80)] int headDim, [Values] DType type)
    {
        if (Refuses(new KvCacheShape(1, 1, 16, 3, headDim, type)))
        {
            return;
        }
        int[] path = [1, 3, 4, 7, 8, 11];
        AttentionShape shape = new(3, 3, headDim, 1 / MathF.Sqrt(headDim), 0);
        RopeParameters noRotation = new(RopeStyle.HalfSplit, new double[headDim / 2]);
        float[] rows = [.. Uniform(new Random(2), (Committed + Drafts + 1) * shape.QkvColumns).Select(value => MathF.Round(value * 64) / 64)];
        float[] Row(int i) => rows[(i * shape.QkvColumns)..((i + 1) * shape.QkvColumns)];
        using KvCache cache = Backend.CreateKvCache(new KvCacheShape(2, 6, 16, 3, headDim, type)), other = Backend.CreateKvCache(cache.Shape);

        float[] Compute(KvCache target, int[] places, int first, int[] table)
        {
            ForwardBatch batch = new(64, 1, 2);
            batch.Add(new int[places.Length], first, table, 16, 0);
            Tensor qkv = UploadRows([.. places.SelectMany(Row)], places.Length, shape.QkvColumns);
            Backend.RopeAndStoreKv(qkv, batch, shape, noRotation, target, 1);
            float[] y = Download(Backend.PagedAttention(qkv, batch, shape, target, 1));
            Backend.ResetStep();
            return y[^shape.OutputColumns..];
        }

        int[] committed = [.. Enumerable.Range(0, Committed)];
        Compute(other, [.. committed, .. path.Select(draft => Committed + draft)], 0, [4, 2]);
        float[] expected = Compute(other, [Committed + Drafts], Committed + path.Length, [4, 2]);

        Compute(cache, [.. committed, .. Enumerable.Range(Committed, Drafts)], 0, [5, 1]);
        ForwardBatch step = new(64, 2, 2);
        step.Add([9, 9], 0, [3], 16, 1);
        step.AddTree(new int[1 + Drafts], Tree(path), Committed - 1, [5, 1], 16, 0);
        DraftBatch drafts = Verified(path);
        Backend.CompactDrafts(cache, step, drafts);
        Backend.ResetStep();
        Assert.That(Compute(cache, [Committed + Drafts], Committed + path.Length, [5, 1]), Is.EqualTo(expected));
    }

    [Test]
    public void Slots_beyond_the_cache_are_refused()
    {
        using KvCache cache = Backend.CreateKvCache(new KvCacheShape(1, 2, 16, 1, HeadDim(16), CacheType));
        ForwardBatch step = new(64, 2, 2);
        step.Add([9], 0, [1], 16, 0);
        step.AddTree(new int[1 + Drafts], Tree([1]), 0, [2], 16, 0);
        DraftBatch drafts = Verified([1]);
        Assert.That(() => Backend.CompactDrafts(cache, step, drafts), Throws.ArgumentException.With.Message.Contains("slot"));
    }

    /// <summary>The path's drafts are each other's children; all others are the committed token's.</summary>
    private static ulong[] Tree(int[] path)
    {
        int[] parents = new int[Drafts];
        Array.Fill(parents, -1);
        for (int i = 1; i < path.Length; i++)
        {
            parents[path[i]] = path[i - 1];
        }
        return DraftTree.Of(parents);
    }

    /// <summary>The second sequence of a step, whose chosen ids accept the path; the first has no drafts.</summary>
    private DraftBatch Verified(int[] path)
    {
        int[] ids = [.. Enumerable.Range(2, Drafts)], chosen = new int[2 + Drafts];
        for (int i = 0; i < path.Length; i++)
        {
            chosen[i == 0 ? 1 : 2 + path[i - 1]] = ids[path[i]];
        }
        DraftBatch drafts = new(2, Drafts);
        drafts.Add(0, [], []);
        drafts.Add(1, ids, Tree(path));
        SamplingBatch batch = new(chosen.Length) { Drafts = drafts };
        float[] logits = new float[20 * chosen.Length];
        for (int i = 0; i < chosen.Length; i++)
        {
            logits[20 * i + chosen[i]] = 1;
            batch.Add(new SamplingRow { TopP = 1, RepetitionPenalty = 1, TargetId = -1 });
        }
        Backend.Sample(Upload(logits, chosen.Length, 20), batch);
        Assert.That(drafts.Accepted(1).ToArray(), Is.EqualTo(path));
        return drafts;
    }
}
