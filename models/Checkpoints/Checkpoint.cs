using LlamaServe.Kernels;
using LlamaServe.Models.Configuration;
using LlamaServe.Models.Quantization;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Checkpoints;

/// <summary>A checkpoint opened for loading: its configuration is read and its tensors are known to fit it.</summary>
internal sealed class Checkpoint : IDisposable
{
    private readonly TensorArchive _archive;
    private readonly CheckpointLayout _layout;
    private readonly Family _family;

    private Checkpoint(ModelConfig config, GenerationDefaults defaults, TensorArchive archive, TensorNames names, QuantizationScheme? quantization = null)
    {
        Config = config;
        Defaults = defaults;
        _archive = archive;
        _family = Family.Of(config.Architecture);
        _layout = new CheckpointLayout(config, names, _family.LayerTensors, quantization);
        _layout.Check(archive);
    }

    public ModelConfig Config { get; }

    public GenerationDefaults Defaults { get; }

    /// <summary>Opens a Hugging Face snapshot.</summary>
    /// <exception cref="CheckpointException">It is damaged, or of a model that is not served.</exception>
    public static Checkpoint OpenSnapshot(string directory)
    {
        CheckpointJson json = SnapshotConfig.Load(directory);
        ModelConfig config = SnapshotConfig.Read(json);
        GenerationDefaults defaults = SnapshotGeneration.Read(directory, json, config.VocabularySize);
        QuantizationScheme? quantization = SnapshotQuantization.Read(directory, json);
        TensorArchive archive = Safetensors.OpenSnapshot(directory);
        return Guard(archive, () => new Checkpoint(config, defaults, archive, TensorNames.OfSnapshot(config.Architecture), quantization));
    }

    /// <summary>Takes over an opened GGUF file.</summary>
    /// <exception cref="CheckpointException">It is damaged, or of a model that is not served; the file is closed.</exception>
    public static Checkpoint OpenGguf(GgufFile file) => Guard(file, () =>
    {
        ModelConfig config = GgufConfig.Read(file);
        return new Checkpoint(config, GgufGeneration.Read(file.Metadata, config.VocabularySize), file.Tensors, TensorNames.Gguf);
    });

    /// <summary>Loads the weights.</summary>
    /// <exception cref="CheckpointException">They are larger than the backend's free memory, or of a format that it has no kernels for.</exception>
    public CausalLm Load(IBackend backend, IProgress<LoadProgress>? progress)
    {
        long bytes = _layout.ByteLength(_archive), available = backend.AvailableBytes;
        if (bytes > available)
        {
            throw new CheckpointException(_archive.FileName,
                $"its weights take {bytes >> 20} MiB, {available >> 20} MiB are free on {backend.Description}");
        }
        WeightLoader weights = new(Config, _archive, _layout, backend, progress);
        try
        {
            return _family.Create(weights);
        }
        catch (Exception exception)
        {
            foreach (Weight weight in weights.Loaded)
            {
                weight.Dispose();
            }
            if (exception is ArgumentException)
            {
                throw new CheckpointException(_archive.FileName, exception.Message, exception);
            }
            throw;
        }
    }

    public void Dispose() => _archive.Dispose();

    private static Checkpoint Guard(IDisposable file, Func<Checkpoint> open)
    {
        try
        {
            return open();
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }
}
