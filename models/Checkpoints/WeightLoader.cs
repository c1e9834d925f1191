using LlamaServe.Kernels;
using LlamaServe.Models.Configuration;
using LlamaServe.Models.Layers;
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
    public Weight Embedding()
    {
        WeightData table = layout.Find(archive, TensorRole.Embedding, layer: 0);
        return Keep(Backend.LoadEmbedding(table, alsoLinear: Config.TiedEmbeddings), [table]);
    }

    /// <summary>Matrices of equal column count as one, rows stacked.</summary>
    public Weight Matrix(int layer, params ReadOnlySpan<TensorRole> roles)
    {
        WeightData[] parts = Find(layer, roles);
        return Keep(Backend.LoadLinear(parts), parts);
    }

    /// <summary>Such matrices of every expert, each expert's as one, rows stacked.</summary>
    public Weight Experts(int layer, params ReadOnlySpan<TensorRole> roles)
    {
        int experts = Config.Experts!.Count;
        WeightData[] parts = new WeightData[experts * roles.Length];
        for (int i = 0; i < parts.Length; i++)
        {
            parts[i] = layout.Find(archive, roles[i % roles.Length], layer, expert: i / roles.Length);
        }
        return Keep(Backend.LoadExperts(parts, experts), parts);
    }

    /// <summary>Vectors as one, one after the other.</summary>
    public Weight Vector(int layer, params ReadOnlySpan<TensorRole> roles)
    {
        WeightData[] parts = Find(layer, roles);
        return Keep(Backend.LoadVector(parts), parts);
    }

    public RmsNorm Norm(int layer, TensorRole role) => new(Backend, Vector(layer, role), Config.RmsNormEpsilon);

    private WeightData[] Find(int layer, ReadOnlySpan<TensorRole> roles)
    {
        WeightData[] parts = new WeightData[roles.Length];
        for (int i = 0; i < parts.Length; i++)
        {
            parts[i] = layout.Find(archive, roles[i], layer);
        }
        return parts;
    }

    private Weight Keep(Weight weight, ReadOnlySpan<WeightData> parts)
    {
        _loaded.Add(weight);
        foreach (WeightData part in parts)
        {
            long bytes = part.Format.Bytes((long)part.Rows * part.Columns);
            MappedPages.Release(part.Address, bytes);
            _bytesDone += bytes;
            progress?.Report(new LoadProgress(_bytesDone, _bytesTotal, part.Name));
        }
        return weight;
    }
}
