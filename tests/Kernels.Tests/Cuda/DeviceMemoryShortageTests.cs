using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>What grows beside the pool finds no room: that step fails, and those that need less go on.</summary>
[Category(Toolchain.Emulated)]
internal sealed class DeviceMemoryShortageTests
{
    /// <summary>Enough for the first table of rotations, once it has been freed, and not for the second.</summary>
    private const long LeftBytes = 256 << 10;

    private TinyCudaDecoder _decoder = null!;

    [SetUp]
    public void Create()
    {
        TestDevice.Require(TestDevice.Emulated);
        _decoder = new TinyCudaDecoder(new CudaBackendOptions { Emulated = true, PoolBytes = 32 << 20 });
    }

    [TearDown]
    public void DisposeDecoder() => _decoder?.Dispose();

    [Test]
    public void A_position_without_room_for_its_rotations_fails_alone()
    {
        float[] expected = Decode(100);
        using (TakeAllBut(LeftBytes))
        {
            for (int i = 0; i < 3; i++)
            {
                AssertOutOfMemory(() => Decode(4100));
                Assert.That(Decode(100), Is.EqualTo(expected));
            }
        }
        Assert.That(Decode(4100), Has.None.NaN);
    }

    [Test]
    public void A_history_without_room_fails_alone()
    {
        int expected = Sample(tokens: 100);
        using (TakeAllBut(LeftBytes))
        {
            for (int i = 0; i < 3; i++)
            {
                AssertOutOfMemory(() => Sample(tokens: 1 << 18));
                Assert.That(Sample(tokens: 100), Is.EqualTo(expected));
            }
        }
        Assert.That(Sample(tokens: 1 << 18), Is.InRange(0, TinyCudaDecoder.Vocabulary - 1));
    }

    private static void AssertOutOfMemory(Action step)
    {
        CudaException exception = Assert.Throws<CudaException>(step)!;
        Assert.That(exception.Result, Is.EqualTo(CUResult.OutOfMemory));
        Assert.That(exception.IsLost, Is.False);
    }

    private CudaDeviceVariable<byte> TakeAllBut(long bytes)
    {
        CudaContext context = _decoder.Backend.Runtime.Context;
        return new CudaDeviceVariable<byte>(context, context.FreeBytes() - bytes);
    }

    private float[] Decode(int position)
    {
        _decoder.Batch.Clear();
        _decoder.Batch.Add([position % TinyCudaDecoder.Vocabulary], position, [.. Enumerable.Range(0, 260)], TinyCudaDecoder.BlockSize, 0);
        return _decoder.Run();
    }

    private int Sample(int tokens)
    {
        _decoder.Batch.Clear();
        _decoder.Batch.Add([5], 0, [0], TinyCudaDecoder.BlockSize, 0);
        SamplingBatch batch = new(1);
        batch.Add(new SamplingRow
        {
            TopP = 1,
            RepetitionPenalty = 1.5f,
            TargetId = -1,
            Tokens = Enumerable.Range(0, tokens).Select(i => i % 7).ToArray(),
            PromptLength = tokens,
        });
        _decoder.Backend.Sample(_decoder.Submit(), batch);
        return batch.TokenIds[0];
    }
}
