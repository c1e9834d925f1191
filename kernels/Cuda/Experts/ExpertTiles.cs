namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// How the assignments of a routing are cut into tiles of one expert each, as sort_choices writes them. Depends on the routing's shape
/// alone, so that a captured step can be replayed.
/// </summary>
internal static class ExpertTiles
{
    /// <summary>Words of a tile's entry.</summary>
    public const int EntryWords = 4;

    /// <summary>log2 of <see cref="Rows"/> / 8: what an expert has on average fits one tile, if it fits any.</summary>
    public static int Variant(int assignments, int experts) =>
        ((assignments + experts - 1) / experts) switch { <= 8 => 0, <= 16 => 1, <= 32 => 2, _ => 3 };

    /// <summary>Assignments of a tile.</summary>
    public static int Rows(int assignments, int experts) => 8 << Variant(assignments, experts);

    /// <summary>Most tiles that there can be: the last one of each expert may be short.</summary>
    public static int Count(int assignments, int experts) =>
        assignments / Rows(assignments, experts) + Math.Min(assignments, experts);
}
