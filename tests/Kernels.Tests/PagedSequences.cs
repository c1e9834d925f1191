using LlamaServe.Kernels.Cuda;

namespace LlamaServe.Kernels.Tests;

/// <summary>
/// Sequences of random queries, keys and values in a paged cache whose free slots hold NaN, computed step by step by a backend.
/// The rotary frequencies are zero, so that keys arrive in the cache as they are.
/// </summary>
internal sealed class PagedSequences : IDisposable
{
    private readonly IBackend _backend;
    private readonly Func<float[], int, int, Tensor> _upload;
    private readonly Func<Tensor, float[]> _download;
    private readonly RopeParameters _noRotation;
    private readonly int[][] _blockTables;
    private readonly int[] _computed;

    /// <param name="upload">Values, rows, columns to a tensor on the device, of <paramref name="rowType"/>.</param>
    /// <param name="download">A tensor's values, row by row.</param>
    /// <param name="rowType">What attention takes; the rows are representable in it.</param>
    /// <param name="contexts">Final length of each sequence.</param>
    /// <param name="hostBlocks">Of the cache's host part.</param>
    public PagedSequences(
        IBackend backend,
        Func<float[], int, int, Tensor> upload,
        Func<Tensor, float[]> download,
        DType rowType,
        AttentionShape shape,
        int blockSize,
        DType type,
        int[] contexts,
        int seed,
        int hostBlocks = 0)
    {
        Random random = new(seed);
        (_backend, _upload, _download, Shape, BlockSize) = (backend, upload, download, shape, blockSize);
        _noRotation = new RopeParameters(RopeStyle.HalfSplit, new double[shape.HeadDim / 2]);
        int blocks = contexts.Sum(context => (context + blockSize - 1) / blockSize) + 3;
        int[] free = Enumerable.Range(0, blocks).ToArray();
        new Random(~seed).Shuffle(free);
        Cache = backend.CreateKvCache(new KvCacheShape(2, blocks, blockSize, shape.KvHeads, shape.HeadDim, type, hostBlocks));
        Rows = new float[contexts.Length][];
        Outputs = new float[contexts.Length][];
        _blockTables = new int[contexts.Length][];
        _computed = new int[contexts.Length];
        int next = 0;
        for (int s = 0; s < contexts.Length; s++)
        {
            int count = (contexts[s] + blockSize - 1) / blockSize;
            _blockTables[s] = free[next..(next += count)];
            Rows[s] = new float[contexts[s] * shape.QkvColumns];
            for (int i = 0; i < Rows[s].Length; i++)
            {
                float value = 3 * (2 * random.NextSingle() - 1);
                Rows[s][i] = rowType == DType.BF16 ? Bf16.Widen(Bf16.Round(value)) : value;
            }
            Outputs[s] = new float[contexts[s] * shape.OutputColumns];
        }
        Poison(blocks);
    }

    public AttentionShape Shape { get; }

    public int BlockSize { get; }

    public KvCache Cache { get; }

    /// <summary>[sequence][context · QkvColumns].</summary>
    public float[][] Rows { get; }

    /// <summary>[sequence][context · OutputColumns], as far as computed.</summary>
    public float[][] Outputs { get; }

    public int[] BlockTable(int sequence) => _blockTables[sequence];

    /// <summary>One step: so many further tokens of each named sequence.</summary>
    public void Step(params (int Sequence, int Tokens)[] work) => Step(Array.ConvertAll(work, item => (item.Sequence, item.Tokens, (ulong[])[])));

    /// <summary>The same, where a sequence's last tokens are a tree of which each sees some.</summary>
    public void Step(params (int Sequence, int Tokens, ulong[] Tree)[] work)
    {
        ForwardBatch batch = new(work.Sum(item => item.Tokens), work.Length, _blockTables.Max(table => table.Length));
        List<float> qkv = [];
        foreach ((int sequence, int tokens, ulong[] tree) in work)
        {
            int first = _computed[sequence];
            batch.AddTree(new int[tokens], tree, first, _blockTables[sequence], BlockSize, tokens);
            qkv.AddRange(Rows[sequence].AsSpan(first * Shape.QkvColumns, tokens * Shape.QkvColumns));
        }
        Tensor rows = _upload([.. qkv], batch.TokenCount, Shape.QkvColumns);
        _backend.RopeAndStoreKv(rows, batch, Shape, _noRotation, Cache, 1);
        Collect(_backend.PagedAttention(rows, batch, Shape, Cache, 1), work);
        _backend.ResetStep();
    }

    /// <summary>All that is left of the sequences, <paramref name="chunk"/> tokens of each a step.</summary>
    public void Finish(int chunk)
    {
        while (true)
        {
            (int, int)[] work = [.. Enumerable.Range(0, Rows.Length)
                .Select(s => (s, Math.Min(chunk, Outputs[s].Length / Shape.OutputColumns - _computed[s]))).Where(item => item.Item2 > 0)];
            if (work.Length == 0)
            {
                return;
            }
            Step(work);
        }
    }

    /// <summary>What double precision makes of the same sequence.</summary>
    public double[] Reference(int sequence)
    {
        int context = Rows[sequence].Length / Shape.QkvColumns, group = Shape.Heads / Shape.KvHeads;
        double[][] keys = [], values = [], y = new double[context * Shape.Heads][];
        for (int head = 0; head < Shape.Heads; head++)
        {
            if (head % group == 0)
            {
                keys = Kept(sequence, context - 1, Shape.Heads + head / group);
                values = Kept(sequence, context - 1, Shape.Heads + Shape.KvHeads + head / group);
            }
            double[][] queries = Head(sequence, context - 1, head);
            for (int position = 0; position < context; position++)
            {
                y[position * Shape.Heads + head] = ReferenceOps.Attention(queries[position], keys, values, position, Shape);
            }
        }
        return [.. y.SelectMany(row => row)];
    }

    /// <summary>The same for a token whose sequence ends in a tree from place <paramref name="start"/> on.</summary>
    public double[] TreeReference(int sequence, int start, ulong[] tree, int node)
    {
        int group = Shape.Heads / Shape.KvHeads, place = start + node;
        int[] path = [.. Enumerable.Range(0, start), .. Enumerable.Range(0, node + 1).Where(i => (tree[node] >> i & 1) != 0).Select(i => start + i)];
        List<double> y = [];
        for (int head = 0; head < Shape.Heads; head++)
        {
            double[][] keys = Kept(sequence, place, Shape.Heads + head / group), values = Kept(sequence, place, Shape.Heads + Shape.KvHeads + head / group);
            double[] query = Head(sequence, place, head)[place];
            y.AddRange(ReferenceOps.Attention(query, [.. path.Select(i => keys[i])], [.. path.Select(i => values[i])], path.Length - 1, Shape));
        }
        return [.. y];
    }

    /// <summary>What was computed for one token.</summary>
    public float[] Output(int sequence, int place) => Outputs[sequence][(place * Shape.OutputColumns)..((place + 1) * Shape.OutputColumns)];

    public void Dispose() => Cache.Dispose();

    /// <summary>The same as the cache keeps them.</summary>
    private double[][] Kept(int sequence, int last, int head) =>
        Array.ConvertAll(Head(sequence, last, head), row => CacheRounding.Of(Cache.Shape.Type, row));

    /// <summary>One head's slice of the fused rows of positions 0 .. last.</summary>
    private double[][] Head(int sequence, int last, int head)
    {
        double[][] rows = new double[last + 1][];
        for (int t = 0; t <= last; t++)
        {
            rows[t] = new double[Shape.HeadDim];
            for (int d = 0; d < Shape.HeadDim; d++)
            {
                rows[t][d] = Rows[sequence][t * Shape.QkvColumns + head * Shape.HeadDim + d];
            }
        }
        return rows;
    }

    private void Collect(Tensor output, (int Sequence, int Tokens, ulong[] Tree)[] work)
    {
        float[] values = _download(output);
        int row = 0;
        foreach ((int sequence, int tokens, _) in work)
        {
            values.AsSpan(row * Shape.OutputColumns, tokens * Shape.OutputColumns).CopyTo(Outputs[sequence].AsSpan(_computed[sequence] * Shape.OutputColumns));
            _computed[sequence] += tokens;
            row += tokens;
        }
    }

    private void Poison(int blocks)
    {
        int tokens = blocks * BlockSize;
        ForwardBatch batch = new(tokens, 1, blocks);
        batch.Add(new int[tokens], 0, Enumerable.Range(0, blocks).ToArray(), BlockSize, tokens);
        float[] poison = new float[tokens * Shape.QkvColumns];
        Array.Fill(poison, float.NaN);
        _backend.RopeAndStoreKv(_upload(poison, tokens, Shape.QkvColumns), batch, Shape, _noRotation, Cache, 1);
    }
}
