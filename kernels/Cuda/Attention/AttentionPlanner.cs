using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cuda;

/// <summary>What a plan holds.</summary>
/// <param name="WholeTiles">Tiles whose thread block walks the whole context.</param>
/// <param name="SplitTiles">Tiles whose context is cut into units.</param>
/// <param name="SplitUnits">Chunks of all split tiles.</param>
/// <param name="PartialRows">Rows of partial results, for each KV head.</param>
internal readonly record struct AttentionPlanCounts(int WholeTiles, int SplitTiles, int SplitUnits, int PartialRows)
{
    /// <summary>int32 words that the plan fills.</summary>
    public int Words => (1 + WholeTiles + SplitTiles) * AttentionPlanner.EntryWords;
}

/// <summary>
/// Cuts a step's attention into the tiles of paged_attention.cu: long runs of queries into whole tiles, short ones into split
/// tiles, whose chunks of the context are computed apart. The cut decides who computes what, never what is computed.
/// </summary>
internal static class AttentionPlanner
{
    /// <summary>Words of the header and of each tile.</summary>
    public const int EntryWords = 4;

    /// <summary>Positions of a chunk, from 0 on.</summary>
    public const int ChunkTokens = 256;

    /// <summary>Rows, which are queries times the heads of a group, of a split tile: those of one tensor-core product.</summary>
    public const int SplitRows = 16;

    /// <summary>Rows of a whole tile: those of a thread block's four warps.</summary>
    public const int WholeRows = 64;

    /// <summary>Words that the plan of any batch of this size fits in.</summary>
    /// <param name="group">Query heads a KV head.</param>
    public static int MaxWords(int maxTokens, int maxSequences, int group) =>
        checked((1 + maxSequences + (maxTokens * group + SplitRows - 1) / SplitRows) * EntryWords);

    /// <summary>Fills <paramref name="plan"/>: the header, the whole tiles, the split tiles.</summary>
    /// <param name="queryStart">[sequences + 1] first token row of each sequence, then all rows.</param>
    /// <param name="contextLengths">[sequences] tokens including this step's.</param>
    /// <param name="multiprocessors">Where whole tiles occupy as many, long runs are not split.</param>
    /// <param name="maxPartialRows">Rows of partial results that there is room for, for each KV head.</param>
    /// <param name="treeTokens">[sequences] how many of the last tokens are a tree of drafts; empty where there is no tree.</param>
    public static AttentionPlanCounts Fill(
        Span<int> plan, ReadOnlySpan<int> queryStart, ReadOnlySpan<int> contextLengths, in AttentionShape shape, int multiprocessors, int maxPartialRows,
        ReadOnlySpan<int> treeTokens = default)
    {
        Span<Tile> tiles = MemoryMarshal.Cast<int, Tile>(plan);
        int group = shape.Heads / shape.KvHeads;
        bool fillsDevice = (long)LongTiles(queryStart, group) * shape.KvHeads >= multiprocessors;
        // Whole tiles grow from the front, split ones from the back until their place is known.
        int whole = 0, split = 0, units = 0, partialRows = 0;
        for (int sequence = 0; sequence < contextLengths.Length; sequence++)
        {
            int rows = (queryStart[sequence + 1] - queryStart[sequence]) * group;
            Run run = new(
                contextLengths[sequence] - queryStart[sequence + 1] + queryStart[sequence],
                contextLengths[sequence] - (treeTokens.IsEmpty ? 0 : treeTokens[sequence]), group, shape.SlidingWindow);
            int needed = run.PartialRows(rows);
            if ((rows > SplitRows && fillsDevice) || needed > maxPartialRows - partialRows)
            {
                // Later queries see more: they come first.
                for (int first = (rows - 1) / WholeRows * WholeRows; first >= 0; first -= WholeRows)
                {
                    tiles[1 + whole++] = new Tile(sequence, first, 0, 0);
                }
                continue;
            }
            for (int first = 0; first < rows; first += SplitRows)
            {
                int count = Math.Min(SplitRows, rows - first);
                int chunks = run.Chunks(first, count);
                tiles[^++split] = new Tile(sequence, first, units, chunks == 1 ? -1 : partialRows);
                units += chunks;
                partialRows += chunks == 1 ? 0 : chunks * count;
            }
        }
        Span<Tile> parted = tiles[^split..];
        parted.Reverse();
        parted.CopyTo(tiles[(1 + whole)..]);
        tiles[0] = new Tile(whole, split, units, 0);
        return new AttentionPlanCounts(whole, split, units, partialRows);
    }

    /// <summary>Whole tiles of the runs that are too long for one split tile.</summary>
    private static int LongTiles(ReadOnlySpan<int> queryStart, int group)
    {
        int tiles = 0;
        for (int sequence = 0; sequence + 1 < queryStart.Length; sequence++)
        {
            int rows = (queryStart[sequence + 1] - queryStart[sequence]) * group;
            tiles += rows > SplitRows ? (rows + WholeRows - 1) / WholeRows : 0;
        }
        return tiles;
    }

    /// <summary>A sequence's new tokens, from a place in the cache on; what lies from <paramref name="Tree"/> on is a tree of drafts.</summary>
    private readonly record struct Run(int First, int Tree, int Group, int Window)
    {
        public int PartialRows(int rows)
        {
            int partialRows = 0;
            for (int first = 0; first < rows; first += SplitRows)
            {
                int count = Math.Min(SplitRows, rows - first), chunks = Chunks(first, count);
                partialRows = checked(partialRows + (chunks == 1 ? 0 : chunks * count));
            }
            return partialRows;
        }

        /// <summary>Chunks that any of the rows sees something of.</summary>
        public int Chunks(int firstRow, int rows)
        {
            int first = Math.Min(First + firstRow / Group, Tree), last = First + (firstRow + rows - 1) / Group;
            return last / ChunkTokens - (Window == 0 ? 0 : Math.Max(0, first - Window + 1)) / ChunkTokens + 1;
        }
    }

    /// <summary>An entry as the kernel reads it; the header has counts in their place.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Tile(int Sequence, int FirstRow, int FirstUnit, int PartialRow);
}
