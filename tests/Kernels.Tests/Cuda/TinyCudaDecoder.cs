using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>Two layers of a decoder with random weights on an emulated device, its cache full of zeros.</summary>
internal sealed unsafe class TinyCudaDecoder : IDisposable
{
    public const int Vocabulary = 40, BlockSize = 16, MaxSequences = 12, MaxTokens = 320, Blocks = 700, HostBlocks = 8;

    private const int Hidden = 64, Layers = 2;
    private static readonly AttentionShape Shape = new(2, 1, 64, 0.125f, 0);

    private readonly Weight _table, _qkv, _projection, _gateUp, _down, _gain;
    private readonly RopeParameters _rope = new(RopeStyle.HalfSplit, [.. Enumerable.Range(0, 32).Select(i => Math.Pow(0.8, i))]);
    private readonly Func<Tensor> _forward;

    /// <param name="duringForward">Called among the operations of a step.</param>
    public TinyCudaDecoder(CudaBackendOptions options, Action<CudaRuntime>? duringForward = null)
    {
        Backend = new CudaBackend(options);
        Random random = new(1);
        _table = Load(random, Vocabulary, Hidden, data => Backend.LoadEmbedding(data, alsoLinear: true));
        _qkv = Load(random, Shape.QkvColumns, Hidden, data => Backend.LoadLinear([data]));
        _projection = Load(random, Hidden, Shape.OutputColumns, data => Backend.LoadLinear([data]));
        _gateUp = Load(random, 128, Hidden, data => Backend.LoadLinear([data]));
        _down = Load(random, Hidden, 64, data => Backend.LoadLinear([data]));
        _gain = Load(random, 1, Hidden, data => Backend.LoadVector([data]));
        Cache = (CudaKvCache)Backend.CreateKvCache(new KvCacheShape(Layers, Blocks, BlockSize, Shape.KvHeads, Shape.HeadDim, DType.BF16, HostBlocks));
        Backend.Runtime.Stream.Fill(Cache.Memory, (byte)0, Cache.Shape.ByteLength);
        Backend.Reserve(MaxTokens, Shape.QkvColumns, MaxSequences, Vocabulary);
        _forward = () =>
        {
            duringForward?.Invoke(Backend.Runtime);
            return Forward();
        };
    }

    public CudaBackend Backend { get; }

    public CudaKvCache Cache { get; }

    public ForwardBatch Batch { get; } = new(MaxTokens, MaxSequences, 512);

    /// <summary>Computes the batch launch by launch.</summary>
    public float[] Eager()
    {
        Backend.ResetStep();
        return Download(Forward());
    }

    /// <summary>Computes the batch as the engine does.</summary>
    public float[] Run() => Download(Submit());

    public Tensor Submit()
    {
        Backend.ResetStep();
        return Backend.Run(Batch, _forward);
    }

    public void Dispose()
    {
        Cache.Dispose();
        Backend.Dispose();
    }

    private static Weight Load(Random random, int rows, int columns, Func<WeightData, Weight> load)
    {
        float[] values = new float[rows * columns];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = 0.5f * (2 * random.NextSingle() - 1);
        }
        fixed (float* address = values)
        {
            return load(new WeightData("tiny", WeightFormat.F32, rows, columns, (nint)address));
        }
    }

    private Tensor Forward()
    {
        Tensor x = Backend.Embed(Batch, _table);
        for (int layer = 0; layer < Layers; layer++)
        {
            Backend.BeginLayer();
            Tensor qkv = Backend.Linear(Backend.RmsNorm(x, _gain, 1e-5f), _qkv);
            Backend.RopeAndStoreKv(qkv, Batch, Shape, _rope, Cache, layer);
            x = Backend.Linear(Backend.PagedAttention(qkv, Batch, Shape, Cache, layer), _projection, residual: x);
            x = Backend.Linear(Backend.GatedActivation(Backend.Linear(Backend.RmsNorm(x, _gain, 1e-5f), _gateUp)), _down, residual: x);
        }
        return Backend.Linear(Backend.RmsNorm(Backend.GatherRows(x, Batch), _gain, 1e-5f), _table);
    }

    private float[] Download(Tensor tensor)
    {
        float[] values = new float[tensor.Rows * tensor.Columns];
        fixed (float* to = values)
        {
            Backend.Runtime.Stream.CopyToHost(to, new DevicePtr((ulong)tensor.Address), (long)values.Length * sizeof(float));
            Backend.Runtime.Stream.Synchronize();
        }
        return values;
    }
}
