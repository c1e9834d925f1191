using LlamaServe.Kernels;
using LlamaServe.Models.Configuration;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Checkpoints;

/// <summary>The tensors that a configuration calls for, with their names and shapes.</summary>
/// <param name="layerTensors">Roles of the tensors of each layer.</param>
internal sealed class CheckpointLayout(ModelConfig config, TensorNames names, IReadOnlyList<TensorRole> layerTensors)
{
    private const int MaxListed = 5;

    /// <summary>A tensor as the backend takes it: a matrix, or a vector as a matrix of one row.</summary>
    /// <exception cref="CheckpointException">It is missing or has another shape.</exception>
    public WeightData Find(TensorArchive archive, TensorRole role, int layer, int expert = 0)
    {
        TensorSource tensor = archive.Get(names.Name(role, layer, expert));
        return Shape(role) switch
        {
            [var rows, var columns] => tensor.AsMatrix(rows, columns),
            [var experts, var rows, var columns] => tensor.AsStacked(experts, rows, columns, expert),
            [var length] => tensor.AsVector(length),
            _ => throw new ArgumentOutOfRangeException(nameof(role), role, "not a tensor of one to three dimensions"),
        };
    }

    /// <summary>Bytes of all tensors that are called for, as stored.</summary>
    public long ByteLength(TensorArchive archive) =>
        Tensors().Sum(tensor => archive.Get(names.Name(tensor.Role, tensor.Layer, tensor.Expert)).ByteLength);

    /// <summary>Checks that the archive has exactly the tensors that are called for, so that loading cannot fail half-way.</summary>
    /// <exception cref="CheckpointException">Tensors are missing, unknown or of the wrong shape; the first few are named.</exception>
    public void Check(TensorArchive archive)
    {
        HashSet<string> known = [];
        List<string> missing = [];
        List<string> misshapen = [];
        foreach ((TensorRole role, int layer, int expert) in Tensors())
        {
            string name = names.Name(role, layer, expert);
            known.Add(name);
            if (!archive.TryGet(name, out TensorSource? tensor))
            {
                missing.Add(CheckpointException.Quote(name));
            }
            else if (Array.ConvertAll(Shape(role), size => (long)size) is var expected && !expected.AsSpan().SequenceEqual(tensor.Shape))
            {
                misshapen.Add($"{CheckpointException.Quote(name)} has shape [{string.Join(", ", tensor.Shape)}], expected [{string.Join(", ", expected)}]");
            }
            else if (expected.Length == 1 && tensor.Format.BlockElements() > 1)
            {
                misshapen.Add($"{CheckpointException.Quote(name)} is a vector in {tensor.Format}, expected F32, F16 or BF16");
            }
        }
        IEnumerable<string> unknown = archive.Names.Where(name => !known.Contains(name) && !names.IsHarmless(name))
            .Order(StringComparer.Ordinal).Select(name => CheckpointException.Quote(name));
        Report(archive, "missing", missing);
        Report(archive, "not as config says", misshapen);
        Report(archive, $"unknown to {config.Architecture}", [.. unknown]);
    }

    private static void Report(TensorArchive archive, string problem, List<string> tensors)
    {
        if (tensors.Count > 0)
        {
            string more = tensors.Count > MaxListed ? $" and {tensors.Count - MaxListed} more" : "";
            throw new CheckpointException(archive.FileName,
                $"{tensors.Count} tensors are {problem}: {string.Join("; ", tensors.Take(MaxListed))}{more}");
        }
    }

    private IEnumerable<(TensorRole Role, int Layer, int Expert)> Tensors()
    {
        yield return (TensorRole.Embedding, 0, 0);
        for (int layer = 0; layer < config.Layers; layer++)
        {
            foreach (TensorRole role in layerTensors)
            {
                for (int expert = 0; expert < Count(role, layer); expert++)
                {
                    yield return (role, layer, expert);
                }
            }
        }
        yield return (TensorRole.OutputNorm, 0, 0);
        if (!config.TiedEmbeddings)
        {
            yield return (TensorRole.Output, 0, 0);
        }
    }

    /// <summary>Tensors of a role in a layer, which has an MLP or experts.</summary>
    private int Count(TensorRole role, int layer) => role switch
    {
        TensorRole.Gate or TensorRole.Up or TensorRole.Down => config.IsSparse(layer) ? 0 : 1,
        TensorRole.Router => config.IsSparse(layer) ? 1 : 0,
        _ when !role.IsOfExpert() => 1,
        _ when !config.IsSparse(layer) => 0,
        _ => names.IsStacked(role) ? 1 : config.Experts!.Count,
    };

    private int[] Shape(TensorRole role) => names.IsStacked(role) ? [config.Experts!.Count, .. MatrixShape(role)] : MatrixShape(role);

    private int[] MatrixShape(TensorRole role) => role switch
    {
        TensorRole.Embedding or TensorRole.Output => [config.VocabularySize, config.HiddenSize],
        TensorRole.AttentionNorm or TensorRole.MlpNorm or TensorRole.OutputNorm => [config.HiddenSize],
        TensorRole.Query => [config.Heads * config.HeadDim, config.HiddenSize],
        TensorRole.Key or TensorRole.Value => [config.KvHeads * config.HeadDim, config.HiddenSize],
        TensorRole.QueryBias => [config.Heads * config.HeadDim],
        TensorRole.KeyBias or TensorRole.ValueBias => [config.KvHeads * config.HeadDim],
        TensorRole.QueryNorm or TensorRole.KeyNorm => [config.HeadDim],
        TensorRole.AttentionOutput => [config.HiddenSize, config.Heads * config.HeadDim],
        TensorRole.Gate or TensorRole.Up => [config.IntermediateSize, config.HiddenSize],
        TensorRole.Down => [config.HiddenSize, config.IntermediateSize],
        TensorRole.Router => [config.Experts!.Count, config.HiddenSize],
        TensorRole.ExpertGate or TensorRole.ExpertUp => [config.Experts!.IntermediateSize, config.HiddenSize],
        TensorRole.ExpertDown => [config.HiddenSize, config.Experts!.IntermediateSize],
        _ => throw new ArgumentOutOfRangeException(nameof(role), role, "unknown role"),
    };
}
