namespace LlamaServe.Kernels.Cpu;

/// <summary>What is constant during one call of paged attention.</summary>
internal readonly unsafe struct AttentionInputs
{
    /// <summary>Tokens of one softmax step at least; a step is whole blocks.</summary>
    private const int TokensPerStep = 64;

    private const int StepsPerPartition = 8;

    public AttentionInputs(Tensor qkv, Tensor output, ForwardBatch batch, AttentionShape shape, CpuKvCache cache, int layer)
    {
        (Qkv, Output, Batch, Shape, Cache, Layer) = (qkv, output, batch, shape, cache, layer);
        Group = shape.Heads / shape.KvHeads;
        BlocksPerStep = Math.Max(1, TokensPerStep / cache.Shape.BlockSize);
        StepTokens = BlocksPerStep * cache.Shape.BlockSize;
    }

    public Tensor Qkv { get; }

    public Tensor Output { get; }

    public ForwardBatch Batch { get; }

    public AttentionShape Shape { get; }

    public CpuKvCache Cache { get; }

    public int Layer { get; }

    /// <summary>Query heads that share one key/value head.</summary>
    public int Group { get; }

    public int BlocksPerStep { get; }

    /// <summary>Steps begin at multiples of it in the sequence, whatever the batch.</summary>
    public int StepTokens { get; }

    /// <summary>Partitions begin at multiples of it in the sequence, whatever the batch.</summary>
    public int PartitionTokens => StepTokens * StepsPerPartition;

    /// <summary>The first position that anything from <paramref name="position"/> of a sequence on sees: in a tree, places run ahead of positions.</summary>
    public int FirstVisible(int sequence, int position) => Shape.FirstVisible(Math.Min(position, Batch.TreeStart(sequence)));

    /// <summary>Elements of one row of scores.</summary>
    public int ScoreStride => BlocksPerStep * Cache.TokenStride;
}

/// <summary>
/// Consecutive queries of one sequence, and the range of partitions to attend to. Its rows are the queries times the
/// <see cref="AttentionInputs.Group"/> heads that share a key/value head, query-major.
/// </summary>
/// <param name="FirstToken">Row of the first query in the batch.</param>
/// <param name="FirstPosition">Its position in the sequence.</param>
/// <param name="PartialIndex">Where the first partition's partial result lies, when partitions are computed apart.</param>
internal readonly record struct AttentionTile(
    int Sequence, int FirstToken, int Queries, int FirstPosition, int FirstPartition, int PartitionCount, int PartialIndex)
{
    public int LastPosition => FirstPosition + Queries - 1;
}
