namespace LlamaServe.Kernels.Cpu;

/// <summary>Cuts rows into contiguous chunks of nearly equal length.</summary>
internal static class RowChunks
{
    /// <summary>Elements below which waking another thread costs more than it saves.</summary>
    private const int ElementsPerChunk = 16 * 1024;

    /// <summary>How many chunks <paramref name="rows"/> of <paramref name="elementsPerRow"/> are worth: 1 when there is little to do, 0 without rows.</summary>
    public static int Count(int rows, long elementsPerRow, int threads)
    {
        long worthwhile = Math.Max(1, rows * elementsPerRow / ElementsPerChunk);
        return (int)Math.Min(worthwhile, Math.Min(rows, 4L * threads));
    }

    /// <summary>First row of <paramref name="chunk"/>; that of chunk <paramref name="count"/> is <paramref name="rows"/>.</summary>
    public static int Start(int chunk, int count, int rows) => (int)((long)rows * chunk / count);
}
