using LlamaServe.Kernels.Cuda;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>Steps, and rows of steps, that belong to no sequence.</summary>
[Category(Toolchain.Emulated)]
internal sealed unsafe class EmptySequenceTests
{
    [SetUp]
    public void RequireDevice() => TestDevice.Require(TestDevice.Emulated);

    [Test]
    public void A_step_without_sequences_passes_every_operation()
    {
        using TinyCudaDecoder decoder = Create();
        decoder.Batch.Clear();
        Assert.That(decoder.Eager(), Is.Empty);
        Assert.That(decoder.Run(), Is.Empty);
        Add(decoder, 0);
        Assert.That(decoder.Run(), Has.Length.EqualTo(TinyCudaDecoder.Vocabulary).And.None.NaN);
    }

    [Test]
    public void A_sequence_without_tokens_is_refused()
    {
        using TinyCudaDecoder decoder = Create();
        Assert.That(() => decoder.Batch.Add([], 5, [0], TinyCudaDecoder.BlockSize, 0), Throws.ArgumentException);
    }

    /// <summary>Three sequences in a bucket of four rows: launch by launch, captured, and from the graph.</summary>
    [Test]
    public void Rows_that_fill_a_bucket_store_nothing()
    {
        using TinyCudaDecoder decoder = Create();
        for (int step = 0; step < 3; step++)
        {
            byte[] before = Cache(decoder);
            decoder.Batch.Clear();
            for (int sequence = 0; sequence < 3; sequence++)
            {
                Add(decoder, sequence);
            }
            decoder.Run();
            byte[] after = Cache(decoder);
            int[] changed = [.. Enumerable.Range(0, after.Length).Where(i => after[i] != before[i]).Select(i => BlockOf(decoder, i)).Distinct().Order()];
            Assert.That(changed, Is.EqualTo(step == 0 ? new[] { 7, 8, 9 } : []), $"step {step}");
        }
        Assert.That(decoder.Backend.Graphs.Replays, Is.EqualTo(2));
    }

    private static TinyCudaDecoder Create() => new(new CudaBackendOptions { Emulated = true, PoolBytes = 32 << 20 });

    /// <summary>A sequence's fourth token, in a block of its own.</summary>
    private static void Add(TinyCudaDecoder decoder, int sequence) => decoder.Batch.Add([1], 3, [7 + sequence], TinyCudaDecoder.BlockSize, 0);

    private static int BlockOf(TinyCudaDecoder decoder, int at) => at / decoder.Cache.BlockBytes % decoder.Cache.Shape.Blocks;

    private static byte[] Cache(TinyCudaDecoder decoder)
    {
        byte[] bytes = new byte[decoder.Cache.Shape.ByteLength];
        fixed (byte* to = bytes)
        {
            decoder.Backend.Runtime.Stream.CopyToHost(to, decoder.Cache.Memory, bytes.Length);
            decoder.Backend.Runtime.Stream.Synchronize();
        }
        return bytes;
    }
}
