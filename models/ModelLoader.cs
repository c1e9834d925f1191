using LlamaServe.Kernels;
using LlamaServe.Models.Checkpoints;
using LlamaServe.Models.Configuration;
using LlamaServe.Models.Tokenization;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models;

/// <summary>Loads a checkpoint from disk onto a backend.</summary>
public static class ModelLoader
{
    private const string GgufExtension = ".gguf";

    /// <summary>
    /// Loads a Hugging Face snapshot folder (config.json, safetensors, tokenizer files) or a GGUF file. Configuration,
    /// tokenizer and the layout of the tensors are checked before the first weight is read.
    /// </summary>
    /// <param name="backend">Where the weights go; it must outlive the model.</param>
    /// <param name="progress">Told after each tensor.</param>
    /// <exception cref="CheckpointException">The checkpoint is absent, damaged, or of a kind that is not served.</exception>
    public static LoadedModel Load(string path, IBackend backend, IProgress<LoadProgress>? progress = null)
    {
        if (Directory.Exists(path))
        {
            using Checkpoint snapshot = Checkpoint.OpenSnapshot(path);
            return Load(SnapshotName(path), snapshot, TokenizerLoader.LoadSnapshot(path), backend, progress);
        }
        if (!path.EndsWith(GgufExtension, StringComparison.OrdinalIgnoreCase))
        {
            throw new CheckpointException(path, "is neither a snapshot folder nor a .gguf file");
        }
        using GgufFile file = GgufFile.Open(path);
        using Checkpoint gguf = Checkpoint.OpenGguf(file);
        return Load(Path.GetFileNameWithoutExtension(path), gguf, TokenizerLoader.Load(file.Metadata), backend, progress);
    }

    private static LoadedModel Load(string name, Checkpoint checkpoint, Tokenizer tokenizer, IBackend backend, IProgress<LoadProgress>? progress)
    {
        int rows = checkpoint.Config.VocabularySize;
        CheckIds(name, tokenizer, rows);
        GenerationDefaults defaults = checkpoint.Defaults;
        if (defaults.EosTokenIds.Count == 0 && tokenizer.Special.Eos is int eos && eos < rows)
        {
            defaults = defaults with { EosTokenIds = [eos] };
        }
        return new LoadedModel(name, checkpoint.Load(backend, progress), tokenizer, defaults);
    }

    // Fine-tuners add a padding token and leave the table as it is: nothing produces such an id, and requests cannot have it.
    private static void CheckIds(string name, Tokenizer tokenizer, int rows)
    {
        if (tokenizer.OrdinarySize > rows)
        {
            throw new CheckpointException(name, $"the tokenizer has {tokenizer.OrdinarySize} ids without its added tokens, the model only {rows}");
        }
        foreach (int id in tokenizer.SurroundingIds)
        {
            if (id >= rows)
            {
                throw new CheckpointException(name, $"the tokenizer puts the id {id} around every text, the model has only {rows}");
            }
        }
    }

    // A folder's own name, or "organisation/model" in the Hugging Face cache, whose folders are named by hashes:
    // models--organisation--model/snapshots/<hash>.
    private static string SnapshotName(string path)
    {
        DirectoryInfo folder = new(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)));
        const string CachePrefix = "models--";
        return folder.Parent is { Name: "snapshots", Parent.Name: var cached } && cached.StartsWith(CachePrefix, StringComparison.Ordinal)
            ? cached[CachePrefix.Length..].Replace("--", "/", StringComparison.Ordinal)
            : folder.Name;
    }
}
