using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Tests.Cuda;

namespace LlamaServe.Kernels.Tests;

[TestFixture("cpu")]
[TestFixture("cpu-portable")]
[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
internal sealed class RopeTests(string backendName) : OpTests(backendName)
{
    [Test]
    public void Queries_and_keys_turn_and_values_stay(
        [Values] RopeStyle style, [Values(2, 8, 64, 80, 96, 128, 256)] int headDim, [Values] bool withNorms)
    {
        const int Heads = 4, KvHeads = 2, Tokens = 5, FirstPosition = 3000;
        KvCacheShape cacheShape = new(1, 1, 16, KvHeads, headDim, CacheType);
        if (Refuses(cacheShape))
        {
            return;
        }
        AttentionShape shape = new(Heads, KvHeads, headDim, 1, 0);
        RopeParameters rope = Rope(style, headDim);
        Random random = new(headDim);
        float[] rows = Uniform(random, Tokens * shape.QkvColumns, 2), queryGain = Uniform(random, headDim), keyGain = Uniform(random, headDim);
        using Weight query = Vector(queryGain), key = Vector(keyGain);
        using KvCache cache = Backend.CreateKvCache(cacheShape);
        ForwardBatch batch = new(Tokens, 1, 200);
        batch.Add(new int[Tokens], FirstPosition, new int[200], 16, Tokens);

        Tensor qkv = UploadRows(rows, Tokens, shape.QkvColumns, padding: 7);
        Backend.RopeAndStoreKv(qkv, batch, shape, rope, cache, 0, withNorms ? new HeadNorms(query, key, 1e-6f) : null);

        double[] expected = Doubles(rows);
        for (int token = 0; token < Tokens; token++)
        {
            for (int head = 0; head < Heads + KvHeads; head++)
            {
                Span<double> at = expected.AsSpan(token * shape.QkvColumns + head * headDim, headDim);
                double[] x = at.ToArray();
                x = withNorms ? ReferenceOps.RmsNorm(x, Doubles(head < Heads ? queryGain : keyGain), 1e-6f) : x;
                ReferenceOps.Rotate(x, FirstPosition + token, rope).CopyTo(at);
            }
        }
        AssertClose(Download(qkv), expected, Tolerance(Tolerances.F32));
    }

    [Test]
    public void Stored_keys_are_the_turned_ones([Values] DType type)
    {
        KvCacheShape cacheShape = new(1, 2, 16, 1, 64, type);
        if (Refuses(cacheShape))
        {
            return;
        }
        // One query over two keys: the weights tell the scores apart, the values name the positions.
        AttentionShape shape = new(1, 1, 64, 1, 0);
        RopeParameters rope = Rope(RopeStyle.HalfSplit, 64);
        float[] rows = Array.ConvertAll(Uniform(new Random(11), 2 * shape.QkvColumns, 0.5f), value => Bf16.Widen(Bf16.Round(value)));
        using KvCache cache = Backend.CreateKvCache(cacheShape);
        ForwardBatch batch = new(2, 1, 1);
        batch.Add([0, 0], 0, [1], 16, 2);
        Tensor qkv = UploadRows(rows, 2, shape.QkvColumns);
        Backend.RopeAndStoreKv(qkv, batch, shape, rope, cache, 0);

        double[] Kept(double[] head) => CacheRounding.Of(type, head);
        double[][] turned = [.. Enumerable.Range(0, 4).Select(i => ReferenceOps.Rotate(Slice(rows, i / 2 * 192 + i % 2 * 64), i / 2, rope))];
        double[] expected = ReferenceOps.Attention(
            turned[2], [Kept(turned[1]), Kept(turned[3])], [Kept(Slice(rows, 128)), Kept(Slice(rows, 320))], 1, shape);
        AssertClose(Download(Backend.PagedAttention(qkv, batch, shape, cache, 0))[64..], expected, Tolerance(Tolerances.Of(type)));
    }

    private static RopeParameters Rope(RopeStyle style, int headDim) =>
        new(style, [.. Enumerable.Range(0, headDim / 2).Select(i => Math.Pow(10000, -2.0 * i / headDim))]);

    private static double[] Slice(float[] rows, int start) => Doubles(rows[start..(start + 64)]);
}
