using System.Diagnostics.CodeAnalysis;

namespace LlamaServe.Models.Weights;

/// <summary>The tensors of a checkpoint by name, over one or more mapped files, whatever the file format.</summary>
public sealed class TensorArchive : IDisposable
{
    private readonly Dictionary<string, TensorSource> _tensors;
    private readonly IReadOnlyList<MappedFile> _files;

    /// <param name="fileName">The file that lists the tensors, for errors about absent ones.</param>
    internal TensorArchive(string fileName, Dictionary<string, TensorSource> tensors, IReadOnlyList<MappedFile> files)
    {
        FileName = fileName;
        _tensors = tensors;
        _files = files;
    }

    /// <summary>The file that lists the tensors: the checkpoint's only one, or the index of the shards.</summary>
    public string FileName { get; }

    public IReadOnlyCollection<string> Names => _tensors.Keys;

    public bool TryGet(string name, [NotNullWhen(true)] out TensorSource? tensor) => _tensors.TryGetValue(name, out tensor);

    /// <exception cref="CheckpointException">There is no such tensor.</exception>
    public TensorSource Get(string name) => TryGet(name, out TensorSource? tensor)
        ? tensor
        : throw new CheckpointException(FileName, $"tensor {CheckpointException.Quote(name)} is missing");

    /// <summary>Bytes of all tensors together.</summary>
    public long ByteLength => _tensors.Values.Sum(tensor => tensor.ByteLength);

    /// <summary>Unmaps the files: no tensor's address may be used any more.</summary>
    public void Dispose()
    {
        foreach (MappedFile file in _files)
        {
            file.Dispose();
        }
    }
}
