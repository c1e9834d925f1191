using System.Diagnostics;
using System.Runtime.Intrinsics;
using LlamaServe.Kernels.Cpu;

namespace LlamaServe.Bench.Machine;

/// <summary>
/// How fast all threads together read memory that no cache holds: the floor of decoding one sequence, which has to read
/// every weight once a token.
/// </summary>
internal static unsafe class ReadBandwidth
{
    private const long BufferBytes = 1L << 30;
    private const int ChunkBytes = 1 << 20;
    private const int Passes = 12;

    /// <summary>Bytes a second, the best of several passes over 1 GiB.</summary>
    public static double Measure(int threads)
    {
        using WorkerPool pool = new(threads);
        using AlignedBuffer buffer = new(BufferBytes);
        using AlignedBuffer sums = new(BufferBytes / ChunkBytes * sizeof(ulong));
        for (long offset = 0; offset < BufferBytes; offset += ChunkBytes)
        {
            new Span<byte>(buffer.Bytes + offset, ChunkBytes).Fill((byte)offset);
        }

        double best = 0;
        for (int pass = 0; pass < Passes; pass++)
        {
            long start = Stopwatch.GetTimestamp();
            pool.Run(new ReadJob(buffer.Bytes, (ulong*)sums.Bytes), (int)(BufferBytes / ChunkBytes));
            best = Math.Max(best, BufferBytes / Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return best;
    }

    // The sums exist so that the loads cannot be dropped.
    private readonly struct ReadJob(byte* data, ulong* sums) : IChunkedJob
    {
        public void Execute(int chunk)
        {
            byte* position = data + (long)chunk * ChunkBytes;
            byte* end = position + ChunkBytes;
            Vector512<ulong> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
            for (; position < end; position += 4 * Vector512<byte>.Count)
            {
                sum0 ^= Vector512.LoadAligned((ulong*)position);
                sum1 ^= Vector512.LoadAligned((ulong*)(position + Vector512<byte>.Count));
                sum2 ^= Vector512.LoadAligned((ulong*)(position + 2 * Vector512<byte>.Count));
                sum3 ^= Vector512.LoadAligned((ulong*)(position + 3 * Vector512<byte>.Count));
            }

            sums[chunk] = Vector512.Sum(sum0 ^ sum1 ^ sum2 ^ sum3);
        }
    }
}
