namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// Cuts one call into tiles of queries and, where there are too few of those for the threads, into partitions of the context.
/// The cut decides who computes what, never what is computed. Reused from call to call.
/// </summary>
internal sealed class AttentionPlan
{
    /// <summary>Rows (queries times heads of a group) of a tile: enough to reuse keys and values from the first-level cache.</summary>
    private const int RowsPerTile = 64;

    /// <summary>Most bytes of partial results; a larger problem has tiles enough.</summary>
    private const long MaxPartialBytes = 64L << 20;

    private AttentionTile[] _tiles = new AttentionTile[16];
    private AttentionTile[] _pieces = new AttentionTile[16];
    private int _tileCount;
    private int _pieceCount;

    /// <summary>Tiles with all their partitions.</summary>
    public ReadOnlySpan<AttentionTile> Tiles => _tiles.AsSpan(0, _tileCount);

    /// <summary>When <see cref="IsSplit"/>, the tiles once a partition.</summary>
    public ReadOnlySpan<AttentionTile> Pieces => _pieces.AsSpan(0, _pieceCount);

    /// <summary>Whether partitions are computed apart and merged afterwards.</summary>
    public bool IsSplit => _pieceCount > 0;

    /// <summary>Rows of the largest tile, rounded up to what the kernels handle at a time.</summary>
    public int MaxRows { get; private set; }

    public void Build(in AttentionInputs inputs, int threads)
    {
        int queriesPerTile = Math.Max(1, RowsPerTile / inputs.Group);
        int partitions = CutTiles(inputs, queriesPerTile);
        long partialBytes = partitions * (long)inputs.Shape.KvHeads * RowStates.ByteLength(MaxRows, inputs.Cache.HeadStride);
        bool tooFew = _tileCount * inputs.Shape.KvHeads < 2 * threads && threads > 1;
        _pieceCount = 0;
        if (tooFew && partitions > _tileCount && partialBytes <= MaxPartialBytes)
        {
            CutPieces();
        }
    }

    /// <returns>Partitions of all tiles.</returns>
    private int CutTiles(in AttentionInputs inputs, int queriesPerTile)
    {
        ReadOnlySpan<int> starts = inputs.Batch.QueryStart, contexts = inputs.Batch.ContextLengths;
        int partitions = 0, mostQueries = 0;
        _tileCount = 0;
        for (int sequence = 0; sequence < contexts.Length; sequence++)
        {
            int end = starts[sequence + 1];
            // Later queries see more: their tiles come first, so that the threads end together.
            int tiles = (end - starts[sequence] + queriesPerTile - 1) / queriesPerTile;
            for (int i = tiles - 1; i >= 0; i--)
            {
                int token = starts[sequence] + i * queriesPerTile;
                int queries = Math.Min(queriesPerTile, end - token);
                int position = contexts[sequence] - end + token;
                int first = inputs.FirstVisible(sequence, position) / inputs.PartitionTokens;
                int count = (position + queries - 1) / inputs.PartitionTokens - first + 1;
                Append(ref _tiles, ref _tileCount, new(sequence, token, queries, position, first, count, partitions));
                partitions += count;
                mostQueries = Math.Max(mostQueries, queries);
            }
        }
        MaxRows = PadRows(mostQueries * inputs.Group);
        return partitions;
    }

    private void CutPieces()
    {
        foreach (AttentionTile tile in Tiles)
        {
            for (int i = 0; i < tile.PartitionCount; i++)
            {
                AttentionTile piece = tile with { FirstPartition = tile.FirstPartition + i, PartitionCount = 1, PartialIndex = tile.PartialIndex + i };
                Append(ref _pieces, ref _pieceCount, piece);
            }
        }
    }

    /// <summary>Rounds up to the rows that the kernels handle at a time.</summary>
    public static int PadRows(int rows) => (rows + 3) & ~3;

    private static void Append(ref AttentionTile[] tiles, ref int count, AttentionTile tile)
    {
        if (count == tiles.Length)
        {
            Array.Resize(ref tiles, 2 * count);
        }
        tiles[count++] = tile;
    }
}
