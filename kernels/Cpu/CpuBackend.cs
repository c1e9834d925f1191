namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// The decoder's operations on the CPU. Activations are F32; weights keep their formats, packed for the matrix kernels; keys
/// and values are F32 or BF16. Each operation checks its arguments here and is done by the class of its name.
/// </summary>
public sealed unsafe partial class CpuBackend : IBackend
{
    /// <summary>Results of one layer in units of its widest: two norms, attention, two residual rows and gate|up with its product.</summary>
    private const int WidestResultsPerLayer = 3;

    private readonly CpuFeatures _features;
    private readonly WorkerPool _pool;
    private readonly MatMul _matMul;
    private readonly ExpertMatMul _expertMatMul;
    private readonly StepArena _arena = new(AllocateChunk, AlignedBuffer.Alignment);
    private readonly PagedAttention _attention = new();
    private readonly Sample _sample = new();
    private readonly List<RopeTable> _ropeTables = [];

    /// <exception cref="ArgumentOutOfRangeException">Negative thread count.</exception>
    public CpuBackend(CpuBackendOptions? options = null)
    {
        options ??= new CpuBackendOptions();
        ArgumentOutOfRangeException.ThrowIfNegative(options.Threads);
        _features = options.Portable ? CpuFeatures.Portable : CpuFeatures.Detect();
        _pool = new WorkerPool(options.Threads > 0 ? options.Threads : Environment.ProcessorCount);
        _matMul = new MatMul(_pool, _features);
        _expertMatMul = new ExpertMatMul(_pool, _features);
    }

    public string Description => $"cpu ({_features}, {_pool.ThreadCount} threads)";

    public long AvailableBytes => SystemMemory.AvailableBytes();

    public long DefaultCacheBytes => AvailableBytes / 2;

    public Weight LoadLinear(ReadOnlySpan<WeightData> parts)
    {
        Check.Matrix(parts);
        return new CpuLinear(_pool, parts);
    }

    public Weight LoadEmbedding(WeightData table, bool alsoLinear)
    {
        Check.Table(table);
        return alsoLinear ? new CpuEmbedding(new CpuLinear(_pool, [table])) : new CpuEmbedding(table);
    }

    public Weight LoadVector(ReadOnlySpan<WeightData> parts)
    {
        Check.Vector(parts);
        return new CpuVector(parts);
    }

    public KvCache CreateKvCache(KvCacheShape shape)
    {
        Check.Shape(shape);
        Check.That(shape.Type is DType.F32 or DType.BF16, $"keys and values on the CPU are F32 or BF16, not {shape.Type}");
        Check.HostMemory(shape, Math.Max(0, AvailableBytes - shape.ByteLength));
        return new CpuKvCache(shape);
    }

    public void Reserve(int maxTokens, int maxColumns, int maxLogitsRows, int vocabularySize)
    {
        _arena.Reserve(4L * WidestResultsPerLayer * maxTokens * maxColumns, 4L * maxLogitsRows * vocabularySize);
        _matMul.Reserve(maxTokens, maxColumns);
        _sample.Reserve(vocabularySize, Math.Max(1, Math.Min(maxLogitsRows, _pool.ThreadCount)));
    }

    public void ResetStep() => _arena.ResetStep();

    public Tensor Run(ForwardBatch batch, Func<Tensor> forward) => forward();

    public void BeginLayer() => _arena.BeginLayer();

    public Tensor Embed(ForwardBatch batch, Weight table)
    {
        CpuEmbedding embedding = table as CpuEmbedding ?? throw new ArgumentException("the table was not loaded by LoadEmbedding of this backend");
        Check.Range(batch.TokenIds, embedding.Rows, "token id");
        Tensor y = _arena.Rent(batch.TokenCount, embedding.Columns);
        Cpu.Embed.Run(_pool, batch, embedding, y);
        return y;
    }

    public Tensor RmsNorm(Tensor x, Weight gain, float epsilon)
    {
        Check.Activation(x, "x");
        CpuVector vector = CpuCheck.Vector(gain, x.Columns, "gain");
        Tensor y = _arena.Rent(x.Rows, x.Columns);
        Cpu.RmsNorm.Run(_pool, x, vector.Values, epsilon, y);
        return y;
    }

    public Tensor Linear(Tensor x, Weight weight, Weight? bias = null, Tensor? residual = null)
    {
        CpuLinear matrix = weight as CpuLinear ?? (weight as CpuEmbedding)?.Projection
            ?? throw new ArgumentException("the weight was not loaded by LoadLinear of this backend, nor as a tied embedding");
        Check.Activation(x, x.Rows, matrix.Columns, "x");
        CpuVector? vector = bias is null ? null : CpuCheck.Vector(bias, matrix.Rows, "bias");
        if (residual is { } addend)
        {
            Check.Activation(addend, x.Rows, matrix.Rows, "residual");
        }
        Tensor y = _arena.Rent(x.Rows, matrix.Rows);
        matrix.Multiply(_matMul, x, vector, residual, y);
        return y;
    }

    public void RopeAndStoreKv(
        Tensor qkv, ForwardBatch batch, AttentionShape shape, RopeParameters rope, KvCache cache, int layer, HeadNorms? norms = null)
    {
        CpuKvCache own = CpuCheck.Cache(cache, layer);
        Check.Attention(qkv, batch, shape, own);
        Check.Range(batch.SlotMapping, own.Shape.Blocks * own.Shape.BlockSize, "slot");
        Check.That(
            2 * rope.InverseFrequencies.Length == shape.HeadDim,
            $"{rope.InverseFrequencies.Length} rotary frequencies for heads of {shape.HeadDim}");
        RopeInputs inputs = new()
        {
            Shape = shape,
            Table = RopeTableFor(rope, batch),
            Cache = own,
            Layer = layer,
            QueryGain = norms is null ? null : CpuCheck.Vector(norms.Query, shape.HeadDim, "query norm"),
            KeyGain = norms is null ? null : CpuCheck.Vector(norms.Key, shape.HeadDim, "key norm"),
            Epsilon = norms?.Epsilon ?? 0,
        };
        Cpu.RopeAndStoreKv.Run(_pool, qkv, batch, inputs);
    }

    public Tensor PagedAttention(Tensor qkv, ForwardBatch batch, AttentionShape shape, KvCache cache, int layer)
    {
        CpuKvCache own = CpuCheck.Cache(cache, layer);
        Check.Attention(qkv, batch, shape, own);
        AttentionInputs inputs = new(qkv, _arena.Rent(batch.TokenCount, shape.OutputColumns), batch, shape, own, layer);
        Check.BlockTables(batch, shape, own);
        _attention.Run(_pool, inputs);
        return inputs.Output;
    }

    public Tensor GatherRows(Tensor x, ForwardBatch batch)
    {
        Check.Activation(x, batch.TokenCount, x.Columns, "x");
        Tensor y = _arena.Rent(batch.LogitsCount, x.Columns);
        Cpu.GatherRows.Run(x, batch.LogitsRows, y);
        return y;
    }

    /// <summary>The threads that compute a step are those that would prepare the next.</summary>
    public bool Overlaps => false;

    public void StartSample(Tensor logits, SamplingBatch batch)
    {
        Check.Activation(logits, "logits");
        Check.That(logits.Rows == batch.Count, $"{logits.Rows} rows of logits for {batch.Count} rows to sample");
        if (batch.Drafts is { } drafts)
        {
            Check.Drafts(drafts, batch.Count);
        }
        _sample.Run(_pool, logits, batch);
        if (batch.Drafts is not null)
        {
            VerifyDraft.Run(batch.TokenIds, batch.Drafts);
        }
    }

    public void CompactDrafts(KvCache cache, ForwardBatch batch, DraftBatch drafts)
    {
        CpuKvCache own = CpuCheck.Cache(cache, 0);
        Check.Drafts(drafts, batch.LogitsCount);
        Check.Range(batch.SlotMapping, own.Shape.Blocks * own.Shape.BlockSize, "slot");
        Cpu.CompactDrafts.Run(own, batch, drafts);
    }

    public void FinishSample(SamplingBatch batch)
    {
    }

    public void CopyBlocks(KvCache cache, ReadOnlySpan<BlockCopy> copies)
    {
        CpuKvCache own = CpuCheck.Cache(cache, 0);
        foreach (BlockCopy copy in copies)
        {
            Check.Range([copy.Source, copy.Destination], own.Shape.Blocks, "block");
        }
        Cpu.CopyBlocks.Run(own, copies);
    }

    public void SwapBlocks(KvCache cache, ReadOnlySpan<BlockSwap> swaps)
    {
        CpuKvCache own = CpuCheck.Cache(cache, 0);
        Check.Swaps(own, swaps);
        Cpu.SwapBlocks.Run(own, swaps);
    }

    public void Dispose()
    {
        _pool.Dispose();
        _matMul.Dispose();
        _expertMatMul.Dispose();
        _arena.Dispose();
        _attention.Dispose();
        _sample.Dispose();
        _ropeTables.ForEach(table => table.Dispose());
    }

    private static ArenaChunk AllocateChunk(long bytes)
    {
        AlignedBuffer memory = new(bytes);
        return new ArenaChunk((nint)memory.Bytes, bytes, memory);
    }

    /// <summary>The table of these frequencies, computed as far as the batch needs.</summary>
    private RopeTable RopeTableFor(RopeParameters rope, ForwardBatch batch)
    {
        RopeTable? table = null;
        foreach (RopeTable candidate in _ropeTables)
        {
            table = candidate.Parameters == rope ? candidate : table;
        }
        if (table is null)
        {
            table = new RopeTable(rope);
            _ropeTables.Add(table);
        }
        int last = 0;
        foreach (int position in batch.Positions)
        {
            last = Math.Max(last, position);
        }
        table.Cover(last);
        return table;
    }
}
