using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// The decoder's operations on an NVIDIA GPU, through kernels of our own. The residual stream is F32 and what feeds a matrix
/// product BF16; sums are F32, keys and values BF16, FP8 or INT8. Operations are queued on one stream; <see cref="FinishSample"/> alone waits for it.
/// Each checks its arguments here and is done by the class of its name.
/// </summary>
public sealed partial class CudaBackend : IBackend
{
    /// <summary>Results of one layer in units of its widest row of F32: two norms, attention, two residual rows and gate|up with its product.</summary>
    private const int WidestResultsPerLayer = 3;

    private readonly CudaRuntime _runtime;
    private readonly StepArena _arena;
    private readonly StepInputs _inputs;
    private readonly RowOps _rows;
    private readonly CopyBlocks _copyBlocks;
    private readonly LinearStep _linear;
    private readonly RopeAndStoreKv _rope;
    private readonly AttentionStep _attention;
    private readonly Sample _sample;
    private readonly VerifyDraft _verifyDraft;
    private int _vocabularySize;

    /// <exception cref="CudaUnavailableException">No driver, no such GPU, an unsupported one, too little memory, or no compiler.</exception>
    public CudaBackend(CudaBackendOptions? options = null)
    {
        options ??= new CudaBackendOptions();
        _runtime = new CudaRuntime(options);
        _arena = new StepArena(_runtime.AllocateChunk, Memory.DevicePool.Alignment);
        _rows = new RowOps(_runtime);
        _copyBlocks = new CopyBlocks(_runtime);
        _verifyDraft = new VerifyDraft(_runtime);
        _sample = new Sample(_runtime.Stream, _runtime.Memory, _runtime.Kernel, _verifyDraft);
        _inputs = new StepInputs(_runtime, _rows, _sample);
        _linear = new LinearStep(_runtime, _rows, _arena);
        _rope = new RopeAndStoreKv(_runtime);
        _attention = new AttentionStep(_runtime);
        Graphs = new StepGraphs(_runtime, _arena, Prepare, options.Warn);
        Description = $"{(options.Emulated ? "cuda-emulated" : $"cuda:{options.Ordinal}")} ({_runtime.Device.Name}, {_runtime.ArchitectureName})";
    }

    public string Description { get; }

    /// <summary>For tests, which bring rows to the device and back.</summary>
    internal CudaRuntime Runtime => _runtime;

    internal StepGraphs Graphs { get; }

    public long AvailableBytes => _runtime.Memory.AvailableBytes;

    /// <summary>The rest is for attention's partial results and for steps that are larger than was reserved for.</summary>
    public long DefaultCacheBytes => AvailableBytes / 20 * 19;

    public Weight LoadLinear(ReadOnlySpan<WeightData> parts)
    {
        Enter();
        Check.Matrix(parts);
        return _linear.Load(parts);
    }

    public Weight LoadEmbedding(WeightData table, bool alsoLinear)
    {
        Enter();
        Check.Table(table);
        return new CudaEmbedding(_runtime, table, alsoLinear ? _linear.Load([table]) : null);
    }

    public Weight LoadVector(ReadOnlySpan<WeightData> parts)
    {
        Enter();
        Check.Vector(parts);
        return new CudaVector(_runtime, parts);
    }

    public void Reserve(int maxTokens, int maxColumns, int maxLogitsRows, int vocabularySize)
    {
        Enter();
        _vocabularySize = vocabularySize;
        _linear.Reserve(maxTokens);
        _sample.Reserve(maxLogitsRows, vocabularySize);
        _runtime.AddressesMoved();
        _arena.Reserve(4L * WidestResultsPerLayer * maxTokens * maxColumns, 4L * maxLogitsRows * vocabularySize);
    }

    public void ResetStep()
    {
        Enter();
        _arena.ResetStep();
        _linear.Quantizer.Forget();
        _inputs.Reset();
        _attention.Reset();
    }

    public Tensor Run(ForwardBatch batch, Func<Tensor> forward) => Graphs.Run(batch, forward);

    public void BeginLayer()
    {
        _arena.BeginLayer();
        _linear.Quantizer.Forget();
    }

    public Tensor Embed(ForwardBatch batch, Weight table)
    {
        CudaEmbedding embedding = table as CudaEmbedding ?? throw new ArgumentException("the table was not loaded by LoadEmbedding of this backend");
        _inputs.Upload(batch, embedding.Rows);
        Tensor y = _arena.Rent(batch.TokenCount, embedding.Columns);
        _rows.Embed(embedding, _inputs.TokenIds, _sample.ChosenIds, y);
        return y;
    }

    public Tensor RmsNorm(Tensor x, Weight gain, float epsilon)
    {
        Check.Activation(x, "x");
        CudaVector vector = CudaCheck.Vector(gain, x.Columns, "gain");
        Tensor y = _arena.Rent(x.Rows, x.Columns, DType.BF16);
        if (!_linear.Quantizer.RmsNorm(x, vector, epsilon, y))
        {
            _rows.RmsNorm(x, vector, epsilon, y);
        }
        return y;
    }

    public Tensor Linear(Tensor x, Weight weight, Weight? bias = null, Tensor? residual = null)
    {
        StackedLinear matrix = CudaCheck.Matrix(weight);
        Check.Activation(x, x.Rows, matrix.Columns, "x", x.Type);
        CudaVector? vector = bias is null ? null : CudaCheck.Vector(bias, matrix.Rows, "bias");
        if (residual is { } addend)
        {
            Check.Activation(addend, x.Rows, matrix.Rows, "residual");
        }
        // Logits are read by the sampler, sums by the next norm: both keep their precision.
        bool isPrecise = residual is not null || matrix.Rows == _vocabularySize;
        Tensor y = _arena.Rent(x.Rows, matrix.Rows, isPrecise ? DType.F32 : DType.BF16);
        if (x.Rows > 0)
        {
            _linear.Run(x, matrix, vector?.Values ?? default, residual, y);
        }
        return y;
    }

    public void RopeAndStoreKv(
        Tensor qkv, ForwardBatch batch, AttentionShape shape, RopeParameters rope, KvCache cache, int layer, HeadNorms? norms = null)
    {
        CudaKvCache own = CudaCheck.Cache(cache, layer);
        Check.Attention(qkv, batch, shape, own, DType.BF16);
        Check.Range(batch.SlotMapping[..batch.QueryStart[^1]], own.Shape.Blocks * own.Shape.BlockSize, "slot");
        Check.That(
            2 * rope.InverseFrequencies.Length == shape.HeadDim,
            $"{rope.InverseFrequencies.Length} rotary frequencies for heads of {shape.HeadDim}");
        _inputs.Upload(batch);
        CudaHeadNorms? gains = norms is null ? null : new CudaHeadNorms(
            CudaCheck.Vector(norms.Query, shape.HeadDim, "query norm"), CudaCheck.Vector(norms.Key, shape.HeadDim, "key norm"), norms.Epsilon);
        if (batch.TokenCount > 0)
        {
            _rope.Run(qkv, batch, _inputs, shape, rope, own, layer, gains);
        }
    }

    public Tensor PagedAttention(Tensor qkv, ForwardBatch batch, AttentionShape shape, KvCache cache, int layer)
    {
        CudaKvCache own = CudaCheck.Cache(cache, layer);
        Check.Attention(qkv, batch, shape, own, DType.BF16);
        // The kernel's running maximum takes the factor as positive.
        Check.That(shape.Scale > 0, $"the scale of q · k is {shape.Scale}");
        _inputs.Upload(batch);
        Tensor y = _arena.Rent(batch.TokenCount, shape.OutputColumns, DType.BF16);
        _attention.Run(qkv, batch, _inputs, shape, own, layer, y);
        return y;
    }

    public Tensor GatherRows(Tensor x, ForwardBatch batch)
    {
        Check.Activation(x, batch.TokenCount, x.Columns, "x");
        _inputs.Upload(batch);
        Tensor y = _arena.Rent(batch.LogitsCount, x.Columns);
        _rows.GatherRows(x, _inputs.LogitsRows, y);
        return y;
    }

    /// <summary>
    /// Frees everything, once. It never throws: on a lost device the driver keeps what it holds until the process ends, and the
    /// fault has been thrown by the operation that met it.
    /// </summary>
    public void Dispose()
    {
        if (_runtime.Stream.IsClosed)
        {
            return;
        }
        _runtime.Stream.Drain();
        Graphs.Dispose();
        _arena.Dispose();
        _inputs.Dispose();
        _copyBlocks.Dispose();
        _linear.Dispose();
        _rope.Dispose();
        _attention.Dispose();
        _sample.Dispose();
        _verifyDraft.Dispose();
        _runtime.Dispose();
    }

    /// <summary>What the operations of a captured step did on the host.</summary>
    private void Prepare(ForwardBatch batch)
    {
        _inputs.Upload(batch, _inputs.TokenIdBound);
        _attention.Prepare(batch);
        _rope.Cover(batch);
    }

    /// <summary>Whichever thread calls: the driver's calls act on the thread's current context.</summary>
    private void Enter() => _runtime.Context.SetCurrent();
}
