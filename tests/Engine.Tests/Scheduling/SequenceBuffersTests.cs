using LlamaServe.Engine.Scheduling;

namespace LlamaServe.Engine.Tests.Scheduling;

public class SequenceBuffersTests
{
    private const int BlockSize = 16;
    private const int Prompt = 100;

    [TestCase(200)]
    [TestCase(16000)]
    public void A_sequence_gets_the_buffers_of_one_that_has_ended(int maxLength)
    {
        SequenceBuffers buffers = new(most: 4);
        Decode(New(maxLength), buffers, maxLength).Release();
        Sequence second = New(maxLength);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Decode(second, buffers, maxLength);
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }

    [Test]
    public void Two_live_sequences_never_share_a_buffer()
    {
        SequenceBuffers buffers = new(most: 4);
        Decode(New(500), buffers, 500).Release();
        Sequence first = Decode(New(500), buffers, 500);
        int[] tokens = first.Tokens.ToArray();
        int[] blocks = first.BlockTable.ToArray();
        Sequence second = New(500);
        second.Reserve(BlockSize, buffers);
        second.Append(-1);
        second.AppendBlock(-1);
        Assert.Multiple(() =>
        {
            Assert.That(first.Tokens.ToArray(), Is.EqualTo(tokens));
            Assert.That(first.BlockTable.ToArray(), Is.EqualTo(blocks));
        });
    }

    [Test]
    public void Buffers_that_were_left_go_to_nobody_else()
    {
        SequenceBuffers buffers = new(most: 4);
        Sequence abandoned = Decode(New(500), buffers, 500);
        ReadOnlyMemory<int> stillRead = abandoned.TokenMemory;
        int[] tokens = stillRead.ToArray();
        abandoned.LeaveBuffers();
        Assert.That(abandoned.Tokens.ToArray(), Is.EqualTo(tokens));
        abandoned.Release();
        Sequence next = New(500);
        next.Reserve(BlockSize, buffers);
        next.Append(-1);
        Assert.That(stillRead.ToArray(), Is.EqualTo(tokens));
    }

    [Test]
    public void More_than_the_bound_are_not_kept()
    {
        BufferPool<int> pool = new(most: 1);
        int[] first = pool.Rent(100);
        int[] second = pool.Rent(100);
        pool.Return(first);
        pool.Return(second);
        Assert.That(pool.Rent(100), Is.SameAs(first));
        Assert.That(pool.Rent(100), Is.Not.SameAs(second));
    }

    [Test]
    public void Rented_arrays_are_long_enough([Values(1, 16, 17, 16384, 16385, 100000)] int length)
    {
        BufferPool<int> pool = new(most: 1);
        pool.Return(new int[length]);
        Assert.That(pool.Rent(length), Has.Length.GreaterThanOrEqualTo(length));
    }

    private static Sequence New(int maxLength) => new(new SequenceSpec(new int[Prompt], maxLength));

    // As the scheduler does, without one.
    private static Sequence Decode(Sequence sequence, SequenceBuffers buffers, int maxLength)
    {
        sequence.Reserve(BlockSize, buffers);
        while (sequence.KnownCount < maxLength)
        {
            if (sequence.KnownCount % BlockSize == 0)
            {
                sequence.AppendBlock(sequence.BlockCount);
            }
            sequence.Append(7);
        }
        return sequence;
    }
}
