using LlamaServe.Kernels;
using LlamaServe.Models.Configuration;
using LlamaServe.Models.Quantization;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Checkpoints;

/// <summary>The tensors that a configuration calls for, with their names and shapes.</summary>
/// <param name="layerTensors">Roles of the tensors of each layer.</param>
/// <param name="quantization">How matrices of the layers may be held; null for floats alone.</param>
internal sealed class CheckpointLayout(
    ModelConfig config, TensorNames names, IReadOnlyList<TensorRole> layerTensors, QuantizationScheme? quantization = null)
{
    private const string WeightSuffix = ".weight";

    /// <summary>A tensor as the backend takes it: a matrix, or a vector as a matrix of one row.</summary>
    /// <exception cref="CheckpointException">It is missing or has another shape.</exception>
    public StoredMatrix Find(TensorArchive archive, TensorRole role, int layer, int expert = 0)
    {
        string name = names.Name(role, layer, expert);
        if (QuantizedModule(archive, role, name) is { } module)
        {
            return quantization!.Read(archive, module, Shape(role)[0], Shape(role)[1]);
        }
        TensorSource tensor = archive.Get(name);
        WeightData data = Shape(role) switch
        {
            [var rows, var columns] => tensor.AsMatrix(rows, columns),
            [var experts, var rows, var columns] => tensor.AsStacked(experts, rows, columns, expert),
            [var length] => tensor.AsVector(length),
            _ => throw new ArgumentOutOfRangeException(nameof(role), role, "not a tensor of one to three dimensions"),
        };
        return new StoredMatrix(data, [tensor with { Address = data.Address, ByteLength = data.Format.Bytes((long)data.Rows * data.Columns) }]);
    }

    /// <summary>Bytes of all tensors that are called for, as stored.</summary>
    public long ByteLength(TensorArchive archive) => Tensors().Sum(tensor =>
    {
        string name = names.Name(tensor.Role, tensor.Layer, tensor.Expert);
        return QuantizedModule(archive, tensor.Role, name) is { } module
            ? quantization!.Tensors(module, Shape(tensor.Role)[0], Shape(tensor.Role)[1]).Sum(part => archive.TryGet(part.Name, out TensorSource? found) ? found.ByteLength : 0)
            : archive.Get(name).ByteLength;
    });

    /// <summary>Checks that the archive has exactly the tensors that are called for, so that loading cannot fail half-way.</summary>
    /// <exception cref="CheckpointException">Tensors are missing, unknown or of the wrong shape; the first few are named.</exception>
    public void Check(TensorArchive archive)
    {
        LayoutProblems problems = new(archive);
        foreach ((TensorRole role, int layer, int expert) in Tensors())
        {
            string name = names.Name(role, layer, expert);
            long[] shape = Array.ConvertAll(Shape(role), size => (long)size);
            if (QuantizedModule(archive, role, name) is not { } module)
            {
                problems.CheckPlain(name, shape);
                continue;
            }
            problems.CheckQuantized(quantization!, module, Shape(role)[0], Shape(role)[1]);
        }
        problems.Throw(config.Architecture.ToString(), names.IsHarmless);
    }

    /// <summary>The name that a quantized matrix's tensors begin with; null for tensors that are held as they are.</summary>
    private string? QuantizedModule(TensorArchive archive, TensorRole role, string name)
    {
        bool mayBe = quantization is not null && TensorNames.IsOfLayer(role) && Shape(role).Length == 2 && name.EndsWith(WeightSuffix, StringComparison.Ordinal);
        return mayBe && quantization!.Holds(archive, name[..^WeightSuffix.Length]) ? name[..^WeightSuffix.Length] : null;
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
