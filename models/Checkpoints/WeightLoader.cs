using LlamaServe.Kernels;
using LlamaServe.Models.Configuration;
using LlamaServe.Models.Layers;
using LlamaServe.Models.Quantization;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Checkpoints;

/// <summary>Hands a checkpoint's tensors to the backend, one layer's part after the other, and keeps count.</summary>
internal sealed class WeightLoader(
    ModelConfig config, TensorArchive archive, CheckpointLayout layout, IBackend backend, IProgress<LoadProgress>? progress)
{
    private readonly List<Weight> _loaded = [];
    private readonly long _bytesTotal = layout.ByteLength(archive);
    private long _bytesDone;

    public ModelConfig Config { get; } = config;

    public IBackend Backend { get; } = backend;

    /// <summary>All weights so far; whoever takes the model takes them, whoever gives up disposes them.</summary>
    public IReadOnlyList<Weight> Loaded => _loaded;

    /// <summary>The table of token vectors, loaded as output projection too where the checkpoint ties them.</summary>
    public Weight Embedding() =>
        Load(0, [TensorRole.Embedding], parts => Backend.LoadEmbedding(parts[0], alsoLinear: Config.TiedEmbeddings));

    /// <summary>Matrices of equal column count as one, rows stacked.</summary>
    public Weight Matrix(int layer, params ReadOnlySpan<TensorRole> roles) => Load(layer, roles, parts => Backend.LoadLinear(parts));

    /// <summary>Two matrices of one shape, a gate and what it lets through.</summary>
    public Weight GatedMatrix(int layer, TensorRole gate, TensorRole up) =>
        Load(layer, [gate, up], parts => Backend.LoadGatedLinear(parts.AsSpan(0, 1), parts.AsSpan(1)));

    /// <summary>Such matrices of every expert, each expert's as one, rows stacked.</summary>
    public Weight Experts(int layer, params ReadOnlySpan<TensorRole> roles) =>
        Load(layer, roles, parts => Backend.LoadExperts(parts, Config.Experts!.Count), Config.Experts!.Count);

    /// <summary>Vectors as one, one after the other.</summary>
    public Weight Vector(int layer, params ReadOnlySpan<TensorRole> roles) => Load(layer, roles, parts => Backend.LoadVector(parts));

    public RmsNorm Norm(int layer, TensorRole role) => new(Backend, Vector(layer, role), Config.RmsNormEpsilon);

    private Weight Load(int layer, ReadOnlySpan<TensorRole> roles, Func<WeightData[], Weight> load, int experts = 1)
    {
        List<StoredMatrix> parts = [];
        try
        {
            for (int i = 0; i < experts * roles.Length; i++)
            {
                parts.Add(layout.Find(archive, roles[i % roles.Length], layer, expert: i / roles.Length));
            }
            Weight weight = load([.. parts.Select(part => part.Data)]);
            _loaded.Add(weight);
            parts.ForEach(Release);
            return weight;
        }
        finally
        {
            parts.ForEach(part => part.Dispose());
        }
    }

    private void Release(StoredMatrix part)
    {
        foreach (TensorSource source in part.Sources)
        {
            MappedPages.Release(source.Address, source.ByteLength);
            _bytesDone += source.ByteLength;
            progress?.Report(new LoadProgress(_bytesDone, _bytesTotal, source.Name));
        }
    }
}
