namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// The numbers of rows that decode steps are filled up to, so that few graphs serve all of them. A bucket never crosses into the
/// next tile of the matrix kernels (8, 16, 32, 64 tokens), where a filled row would cost more than its memory.
/// </summary>
internal static class DecodeBuckets
{
    /// <summary>Steps with more rows run without a graph: their kernels are long enough to hide their launches.</summary>
    public const int Largest = 1024;

    /// <summary>The smallest bucket with room for a step of <paramref name="rows"/>; 0 for none.</summary>
    public static int Of(int rows) => rows switch
    {
        <= 0 or > Largest => 0,
        <= 2 => rows,
        <= 4 => 4,
        <= 256 => Up(rows, 8),
        <= 512 => Up(rows, 16),
        _ => Up(rows, 32),
    };

    private static int Up(int rows, int multiple) => (rows + multiple - 1) / multiple * multiple;
}
