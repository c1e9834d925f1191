using LlamaServe.Kernels.Cpu;

namespace LlamaServe.Kernels.Tests.MatMul;

public sealed unsafe class WorkerPoolTests
{
    [TestCase(1)]
    [TestCase(2)]
    [TestCase(5)]
    public void Every_chunk_of_many_operations_runs_exactly_once(int threads)
    {
        using var pool = new WorkerPool(threads);
        int[] hits = new int[64];
        for (int operation = 1; operation <= 3000; operation++)
        {
            int chunks = operation % (hits.Length + 1);
            Array.Clear(hits);
            pool.Run(new CountJob(hits), chunks);
            Assert.That(hits.AsSpan(0, chunks).IndexOfAnyExcept(1), Is.EqualTo(-1), $"operation {operation}");
            Assert.That(hits.AsSpan(chunks).IndexOfAnyExcept(0), Is.EqualTo(-1), $"operation {operation}");
        }
    }

    [Test]
    public void Workers_that_have_parked_still_take_part()
    {
        using var pool = new WorkerPool(2);
        for (int operation = 0; operation < 20; operation++)
        {
            Thread.Sleep(2);
            int rendezvous = 0;
            // Each of the two chunks waits for the other one, so one thread alone cannot finish.
            pool.Run(new RendezvousJob(&rendezvous), 2);
            Assert.That(rendezvous, Is.EqualTo(2));
        }
    }

    [Test]
    public void An_exception_in_a_chunk_reaches_the_caller_and_leaves_the_pool_usable()
    {
        using var pool = new WorkerPool(3);
        int[] hits = new int[16];
        for (int operation = 0; operation < 200; operation++)
        {
            Assert.That(() => pool.Run(new FailingJob(operation % 16), 16), Throws.TypeOf<FormatException>());
            Array.Clear(hits);
            pool.Run(new CountJob(hits), 16);
            Assert.That(hits, Is.All.EqualTo(1));
        }
    }

    [Test]
    public void An_operation_inside_an_operation_is_refused()
    {
        using var pool = new WorkerPool(2);
        Assert.That(() => pool.Run(new NestedJob(pool), 1), Throws.InvalidOperationException);
        Assert.That(() => pool.Run(new NestedJob(pool), 4), Throws.InvalidOperationException);
    }

    [Test]
    public void An_operation_allocates_nothing()
    {
        using var pool = new WorkerPool(2);
        int[] hits = new int[8];
        pool.Run(new CountJob(hits), 8);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int operation = 0; operation < 100; operation++)
        {
            pool.Run(new CountJob(hits), 8);
        }

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }

    [Test]
    public void A_disposed_pool_refuses_work()
    {
        var pool = new WorkerPool(2);
        pool.Dispose();
        Assert.That(() => pool.Run(new CountJob([]), 0), Throws.TypeOf<ObjectDisposedException>());
    }

    private readonly struct CountJob(int[] hits) : IChunkedJob
    {
        public void Execute(int chunk) => Interlocked.Increment(ref hits[chunk]);
    }

    private readonly struct RendezvousJob(int* arrived) : IChunkedJob
    {
        public void Execute(int chunk)
        {
            Interlocked.Increment(ref *arrived);
            if (!SpinWait.SpinUntil(new Arrivals(arrived).Both, TimeSpan.FromMinutes(2)))
            {
                throw new TimeoutException("the other thread never came");
            }
        }
    }

    private sealed class Arrivals(int* arrived)
    {
        public bool Both() => Volatile.Read(ref *arrived) == 2;
    }

    private readonly struct FailingJob(int failing) : IChunkedJob
    {
        public void Execute(int chunk)
        {
            if (chunk == failing)
            {
                throw new FormatException();
            }
        }
    }

    private readonly struct NestedJob(WorkerPool pool) : IChunkedJob
    {
        public void Execute(int chunk) => pool.Run(new FailingJob(-1), 2);
    }
}
