using LlamaServe.Kernels.Tests.Cuda;

namespace LlamaServe.Kernels.Tests;

[TestFixture("cpu")]
[TestFixture("cpu-portable")]
[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
internal sealed class ArgumentTests(string backendName) : OpTests(backendName)
{
    private AttentionShape Shape => new(4, 2, HeadDim(8), 1, 0);

    [Test]
    public void Rows_of_the_wrong_width_are_refused()
    {
        using Weight gain = Vector(new float[16]);
        using Weight matrix = Backend.LoadLinear([Stored(WeightFormat.F32, 5, 16, new byte[320])]);
        Tensor wide = Upload(new float[34], 2, 17), x = Upload(new float[32], 2, 16), narrow = Upload(new float[8], 2, 4);
        Refuses("gain", () => Backend.RmsNorm(wide, gain, 1e-5f));
        Refuses("x is", () => Backend.Linear(wide, matrix));
        Refuses("bias", () => Backend.Linear(x, matrix, bias: gain));
        Refuses("residual", () => Backend.Linear(x, matrix, residual: narrow));
        Refuses("residual", () => Backend.Linear(x, matrix, residual: Upload(new float[5], 1, 5)));
        Refuses("gate", () => Backend.GatedActivation(wide));
        Refuses("x is", () => Backend.GatherRows(x, Batch(3)));
        Refuses("x is BF16", () => Backend.RmsNorm(x with { Type = DType.BF16 }, gain, 1e-5f));
        Refuses("stride 15", () => Backend.RmsNorm(x with { RowStride = 15 }, gain, 1e-5f));
        Refuses("logits", () => Backend.Sample(x, new SamplingBatch(1)));
    }

    [Test]
    public void Weights_in_the_wrong_role_are_refused()
    {
        using Weight gain = Vector(new float[16]);
        using Weight table = Backend.LoadEmbedding(Stored(WeightFormat.F32, 5, 16, new byte[320]), alsoLinear: false);
        Tensor x = Upload(new float[32], 2, 16);
        Refuses("LoadLinear", () => Backend.Linear(x, gain));
        Refuses("LoadLinear", () => Backend.Linear(x, table));
        Refuses("LoadEmbedding", () => Backend.Embed(Batch(1), gain));
        Refuses("LoadVector", () => Backend.RmsNorm(x, table, 1e-5f));
        Refuses("token id 5", () => Backend.Embed(Batch(1, id: 5), table));
        Refuses("token id -1", () => Backend.Embed(Batch(1, id: -1), table));
    }

    [Test]
    public void Weights_that_cannot_be_loaded_are_refused_by_name()
    {
        WeightData good = Stored(WeightFormat.Q8_0, 2, 64, new byte[136]);
        Refuses("part", () => Backend.LoadLinear([]));
        Refuses("part", () => Backend.LoadVector([]));
        Refuses("odd", () => Backend.LoadLinear([good, good with { Name = "odd", Columns = 32 }]));
        Refuses("odd", () => Backend.LoadLinear([good with { Name = "odd", Columns = 33 }]));
        Refuses("odd", () => Backend.LoadEmbedding(good with { Name = "odd", Rows = 0 }, false));
        Refuses("odd", () => Backend.LoadVector([good with { Name = "odd" }]));
        Refuses("odd", () => Backend.LoadVector([good with { Name = "odd", Rows = 1, Address = 0 }]));
    }

    [Test]
    public void Caches_and_shapes_must_fit()
    {
        using KvCache cache = Backend.CreateKvCache(new KvCacheShape(2, 3, 16, 2, Shape.HeadDim, CacheType));
        RopeParameters rope = new(RopeStyle.HalfSplit, new double[Shape.HeadDim / 2]);
        Tensor qkv = UploadRows(new float[2 * Shape.QkvColumns], 2, Shape.QkvColumns);
        ForwardBatch batch = Batch(2), wrongBlock = new(2, 1, 1);
        wrongBlock.Add([0, 0], 0, [3], 16, 2);
        Refuses("layer 2", () => Backend.PagedAttention(qkv, batch, Shape, cache, 2));
        Refuses("qkv", () => Backend.PagedAttention(qkv, Batch(1), Shape, cache, 0));
        Refuses("KV cache", () => Backend.PagedAttention(qkv, batch, Shape with { KvHeads = 4 }, cache, 0));
        Refuses("share", () => Backend.PagedAttention(qkv, batch, Shape with { Heads = 3 }, cache, 0));
        Refuses("window", () => Backend.PagedAttention(qkv, batch, Shape with { SlidingWindow = -1 }, cache, 0));
        Refuses("block 3", () => Backend.PagedAttention(qkv, wrongBlock, Shape, cache, 0));
        Refuses("slot", () => Backend.RopeAndStoreKv(qkv, wrongBlock, Shape, rope, cache, 0));
        Refuses("frequencies", () => Backend.RopeAndStoreKv(qkv, batch, Shape, new(RopeStyle.HalfSplit, new double[Shape.HeadDim]), cache, 0));
        using Weight gain = Vector(new float[7]);
        Refuses("query norm", () => Backend.RopeAndStoreKv(qkv, batch, Shape, rope, cache, 0, new HeadNorms(gain, gain, 1e-5f)));
        Refuses("block 3", () => Backend.CopyBlocks(cache, [new BlockCopy(0, 3)]));
        Refuses("shape", () => Backend.CreateKvCache(new KvCacheShape(1, 1, 16, 1, 7, DType.F32)));
        Refuses("shape", () => Backend.CreateKvCache(new KvCacheShape(1, 0, 16, 1, 8, DType.F32)));
    }

    [Test]
    public void Steps_without_rows_are_allowed()
    {
        ForwardBatch empty = new(1, 1, 1);
        using KvCache cache = Backend.CreateKvCache(new KvCacheShape(1, 1, 16, 2, Shape.HeadDim, CacheType));
        using Weight gain = Vector(new float[16]), matrix = Backend.LoadLinear([Stored(WeightFormat.F32, 5, 16, new byte[320])]);
        Tensor x = new(0, 0, 16, 16, DType.F32), qkv = new(0, 0, Shape.QkvColumns, Shape.QkvColumns, RowType);
        Assert.That(Backend.RmsNorm(x, gain, 1).Rows, Is.Zero);
        Assert.That(Backend.Linear(x, matrix).Rows, Is.Zero);
        Assert.That(Backend.GatedActivation(x).Rows, Is.Zero);
        Assert.That(Backend.GatherRows(x, empty).Rows, Is.Zero);
        Backend.RopeAndStoreKv(qkv, empty, Shape, new(RopeStyle.HalfSplit, new double[Shape.HeadDim / 2]), cache, 0);
        Assert.That(Backend.PagedAttention(qkv, empty, Shape, cache, 0).Rows, Is.Zero);
        Assert.That(() => Backend.Sample(x, new SamplingBatch(1)), Throws.Nothing);
    }

    [Test]
    public void The_machine_says_what_it_is_and_what_is_free()
    {
        Assert.That(Backend.Description, IsCuda ? Does.StartWith(BackendName).And.Contain("sm_") : Does.StartWith("cpu (").And.Contain("threads"));
        Assert.That(Backend.AvailableBytes, Is.GreaterThan(1L << 20));
        Assert.That(Backend.DefaultCacheBytes, Is.Positive.And.LessThan(Backend.AvailableBytes));
    }

    private static void Refuses(string what, Action call) => Assert.That(call, Throws.ArgumentException.With.Message.Contains(what));

    private static ForwardBatch Batch(int tokens, int id = 0)
    {
        ForwardBatch batch = new(tokens, 1, 1);
        batch.Add(Enumerable.Repeat(id, tokens).ToArray(), 0, [0], 16, tokens);
        return batch;
    }
}
