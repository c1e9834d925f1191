using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>One operation cut into independent chunks. A struct, so that running it allocates nothing.</summary>
internal interface IChunkedJob
{
    /// <summary>Does chunk <paramref name="chunk"/>; called once a chunk, from any of the pool's threads.</summary>
    void Execute(int chunk);
}

/// <summary>
/// Threads that share the chunks of one operation at a time with the thread that calls <see cref="Run"/>.
/// Workers spin for a short while after each operation, because the next one usually follows within
/// microseconds, and then park. A worker that wakes too late is not waited for.
/// </summary>
internal sealed unsafe class WorkerPool : IDisposable
{
    private const long Open = 1L << 31;
    private const long JoinedMask = Open - 1;
    private static readonly long SpinTicks = Stopwatch.Frequency / 1_000_000 * 50;

    private readonly Thread[] _threads;
    private readonly Lock _failureLock = new();
    private readonly object _parking = new();
    private SharedState _shared;
    private int _parked;
    private int _busy;
    private bool _stopping;
    private void* _job;
    private delegate*<void*, int, void> _execute;
    private int _chunkCount;
    private ExceptionDispatchInfo? _failure;

    /// <param name="threadCount">Threads that work on an operation, the calling one included; at least 1.</param>
    public WorkerPool(int threadCount)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threadCount, 1);
        _threads = new Thread[threadCount - 1];
        for (int i = 0; i < _threads.Length; i++)
        {
            _threads[i] = new Thread(WorkerLoop) { IsBackground = true, Name = $"llamaserve-cpu-{i + 1}" };
            _threads[i].Start();
        }
    }

    /// <summary>Threads that work on an operation, the calling one included.</summary>
    public int ThreadCount => _threads.Length + 1;

    /// <summary>
    /// Executes chunks 0 … <paramref name="chunkCount"/> − 1 of <paramref name="job"/> on all threads and
    /// returns when all are done. The first exception of a chunk is thrown here; chunks not begun by then are dropped.
    /// </summary>
    /// <exception cref="InvalidOperationException">An operation is already running on this pool.</exception>
    public void Run<TJob>(TJob job, int chunkCount)
        where TJob : struct, IChunkedJob
    {
        ObjectDisposedException.ThrowIf(_stopping, this);
        if (Interlocked.Exchange(ref _busy, 1) != 0)
        {
            throw new InvalidOperationException("The worker pool runs one operation at a time and is not reentrant.");
        }

        try
        {
            // The job lives in this frame, which outlives the operation and never moves.
            RunShared(Unsafe.AsPointer(ref job), &ExecuteChunk<TJob>, chunkCount);
        }
        finally
        {
            Volatile.Write(ref _busy, 0);
        }
    }

    /// <summary>Stops the threads. Must not be called while an operation runs.</summary>
    public void Dispose()
    {
        lock (_parking)
        {
            _stopping = true;
            Monitor.PulseAll(_parking);
        }

        foreach (Thread thread in _threads)
        {
            thread.Join();
        }
    }

    private static void ExecuteChunk<TJob>(void* job, int chunk)
        where TJob : struct, IChunkedJob => Unsafe.AsRef<TJob>(job).Execute(chunk);

    private void RunShared(void* job, delegate*<void*, int, void> execute, int chunkCount)
    {
        _job = job;
        _execute = execute;
        _chunkCount = chunkCount;
        _shared.NextChunk = 0;
        if (_threads.Length > 0 && chunkCount > 1)
        {
            // A new generation in the high half tells a worker that it has not seen this operation.
            Interlocked.Exchange(ref _shared.State, ((_shared.State >> 32) + 1) << 32 | Open);
            if (Volatile.Read(ref _parked) > 0)
            {
                lock (_parking)
                {
                    Monitor.PulseAll(_parking);
                }
            }

            WorkOnChunks();
            Interlocked.And(ref _shared.State, ~Open);
            AwaitJoined();
        }
        else
        {
            WorkOnChunks();
        }

        _job = null;
        if (_failure is { } failure)
        {
            _failure = null;
            failure.Throw();
        }
    }

    private void WorkOnChunks()
    {
        try
        {
            int chunk;
            while ((chunk = Interlocked.Increment(ref _shared.NextChunk) - 1) < _chunkCount)
            {
                _execute(_job, chunk);
            }
        }
        catch (Exception exception)
        {
            Volatile.Write(ref _shared.NextChunk, _chunkCount);
            lock (_failureLock)
            {
                _failure ??= ExceptionDispatchInfo.Capture(exception);
            }
        }
    }

    private void AwaitJoined()
    {
        for (int spins = 0; (Volatile.Read(ref _shared.State) & JoinedMask) != 0; spins++)
        {
            if (spins < 2000)
            {
                Thread.SpinWait(1);
            }
            else
            {
                Thread.Yield();
            }
        }
    }

    private void WorkerLoop()
    {
        long generation = 0;
        while (TryAwaitOperation(ref generation))
        {
            WorkOnChunks();
            Interlocked.Decrement(ref _shared.State);
        }
    }

    private bool TryAwaitOperation(ref long generation)
    {
        long spinUntil = Stopwatch.GetTimestamp() + SpinTicks;
        while (!Volatile.Read(ref _stopping))
        {
            if (TryJoin(ref generation))
            {
                return true;
            }

            Thread.SpinWait(1);
            if (Stopwatch.GetTimestamp() > spinUntil)
            {
                Park(generation);
                spinUntil = Stopwatch.GetTimestamp() + SpinTicks;
            }
        }

        return false;
    }

    private bool TryJoin(ref long generation)
    {
        long state = Volatile.Read(ref _shared.State);
        while ((state & Open) != 0 && state >> 32 != generation)
        {
            long seen = Interlocked.CompareExchange(ref _shared.State, state + 1, state);
            if (seen == state)
            {
                generation = state >> 32;
                return true;
            }

            state = seen;
        }

        return false;
    }

    private void Park(long generation)
    {
        lock (_parking)
        {
            // Raised before the last look at the state, as Run reads it after it has opened the operation.
            Interlocked.Increment(ref _parked);
            if (!_stopping && !HasUnseenOperation(generation))
            {
                Monitor.Wait(_parking);
            }

            Interlocked.Decrement(ref _parked);
        }
    }

    private bool HasUnseenOperation(long generation)
    {
        long state = Volatile.Read(ref _shared.State);
        return (state & Open) != 0 && state >> 32 != generation;
    }

    /// <summary>The two contended words, each on cache lines of its own.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 384)]
    private struct SharedState
    {
        /// <summary>Generation (high 32 bits), open flag (bit 31), joined workers (low 31 bits).</summary>
        [FieldOffset(128)]
        public long State;

        [FieldOffset(256)]
        public int NextChunk;
    }
}
