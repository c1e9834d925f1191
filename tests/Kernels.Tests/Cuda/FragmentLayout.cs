namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>
/// Which element of a matrix each register of a thread holds, written down element by element after PTX ISA ("Matrix Fragments
/// for mma.m16n8k16 with floating point type", "... mma.m16n8k32", "Register Fragments" of wgmma). Threads above 31 hold the
/// rows 16 further down.
/// </summary>
internal static class FragmentLayout
{
    /// <summary>A's element i of a thread's eight (16 bits) or sixteen (8 bits).</summary>
    public static (int Row, int K) A(int thread, int i, int bytes)
    {
        int warp = thread / 32, group = thread % 32 / 4, inGroup = thread % 4;
        return bytes == 2
            ? ((16 * warp) + (i is 0 or 1 or 4 or 5 ? group : group + 8), (2 * inGroup) + (i & 1) + (i >= 4 ? 8 : 0))
            : ((16 * warp) + (i is (>= 0 and < 4) or (>= 8 and < 12) ? group : group + 8), (4 * inGroup) + (i & 3) + (i >= 8 ? 16 : 0));
    }

    /// <summary>B's element i of a thread's four (16 bits) or eight (8 bits).</summary>
    public static (int K, int Column) B(int thread, int i, int bytes)
    {
        int group = thread / 4, inGroup = thread % 4;
        return bytes == 2
            ? ((2 * inGroup) + (i & 1) + (i >= 2 ? 8 : 0), group)
            : ((4 * inGroup) + (i & 3) + (i >= 4 ? 16 : 0), group);
    }

    /// <summary>The accumulators' element i: four of mma.sync, N / 2 of wgmma.</summary>
    public static (int Row, int Column) D(int thread, int i)
    {
        int warp = thread / 32, group = thread % 32 / 4, inGroup = thread % 4;
        return ((16 * warp) + group + (i % 4 >= 2 ? 8 : 0), (8 * (i / 4)) + (2 * inGroup) + (i % 2));
    }

    /// <summary>A as registers of <paramref name="threads"/> threads, four each.</summary>
    public static uint[] PackA(uint[,] a, int threads, int bytes) =>
        Pack(threads, 4, bytes, (thread, i) => A(thread, i, bytes) is var (row, k) ? a[row, k] : 0);

    /// <summary>B, stored [column, K], as registers of a warp, two each.</summary>
    public static uint[] PackB(uint[,] b, int bytes) =>
        Pack(32, 2, bytes, (thread, i) => B(thread, i, bytes) is var (k, column) ? b[column, k] : 0);

    private static uint[] Pack(int threads, int registers, int bytes, Func<int, int, uint> element)
    {
        uint[] packed = new uint[threads * registers];
        int perRegister = 4 / bytes;
        for (int thread = 0; thread < threads; thread++)
        {
            for (int i = 0; i < registers * perRegister; i++)
            {
                packed[(thread * registers) + (i / perRegister)] |= element(thread, i) << (8 * bytes * (i % perRegister));
            }
        }
        return packed;
    }
}
