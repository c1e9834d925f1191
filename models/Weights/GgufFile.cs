using System.Numerics;
using LlamaServe.Kernels;

namespace LlamaServe.Models.Weights;

/// <summary>
/// A memory-mapped GGUF file, version 2 or 3, little-endian: magic, version, counts, key-values, tensor infos, then the
/// data, aligned to <c>general.alignment</c>.
/// </summary>
/// <seealso href="https://github.com/ggml-org/ggml/blob/master/docs/gguf.md"/>
public sealed class GgufFile : IDisposable
{
    private const uint Magic = 0x46554747;
    private const int MaxKeys = 1 << 16;
    private const int MaxTensors = 1 << 18;
    private const int MaxNameBytes = 1 << 10;
    private const int MaxRank = 4;
    private const int DefaultAlignment = 32;
    private const int MaxAlignment = 4096;
    private const string AlignmentKey = "general.alignment";

    private GgufFile(GgufMetadata metadata, TensorArchive tensors)
    {
        Metadata = metadata;
        Tensors = tensors;
    }

    public GgufMetadata Metadata { get; }

    public TensorArchive Tensors { get; }

    /// <exception cref="CheckpointException">The file is absent, damaged, or of a version or type that is not supported.</exception>
    public static GgufFile Open(string path)
    {
        MappedFile file = MappedFile.Open(path);
        try
        {
            GgufCursor cursor = new(file);
            CheckVersion(cursor);
            int tensorCount = cursor.ReadCount("tensors", MaxTensors, minBytesEach: 32);
            GgufMetadata metadata = ReadMetadata(cursor);
            return new GgufFile(metadata, new TensorArchive(file.Name, ReadTensors(file, cursor, metadata, tensorCount), [file]));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public void Dispose() => Tensors.Dispose();

    private static void CheckVersion(GgufCursor cursor)
    {
        if (cursor.ReadUInt32() != Magic)
        {
            throw new CheckpointException(cursor.FileName, "is no GGUF file: it does not begin with 'GGUF'");
        }
        uint version = cursor.ReadUInt32();
        if (version is not (2 or 3))
        {
            throw new CheckpointException(cursor.FileName, (version & 0xFFFF) == 0
                ? "is a big-endian GGUF file; only little-endian ones are supported"
                : $"has GGUF version {version}; supported are 2 and 3");
        }
    }

    private static GgufMetadata ReadMetadata(GgufCursor cursor)
    {
        int count = cursor.ReadCount("keys", MaxKeys, minBytesEach: 13);
        GgufValueReader reader = new(cursor);
        Dictionary<string, object> values = [];
        for (int i = 0; i < count; i++)
        {
            string key = cursor.ReadString("a key", MaxNameBytes);
            if (!values.TryAdd(key, reader.Read(key)))
            {
                throw new CheckpointException(cursor.FileName, $"key {CheckpointException.Quote(key)} occurs twice");
            }
        }
        GgufMetadata metadata = new(cursor.FileName, values);
        return metadata.FindInt32("split.count") is > 1
            ? throw metadata.Error("split.count", "says that this is one part of several: join them with gguf-split first")
            : metadata;
    }

    private static Dictionary<string, TensorSource> ReadTensors(MappedFile file, GgufCursor cursor, GgufMetadata metadata, int count)
    {
        int alignment = metadata.FindInt32(AlignmentKey) ?? DefaultAlignment;
        if (alignment is < sizeof(uint) or > MaxAlignment || !BitOperations.IsPow2(alignment))
        {
            throw metadata.Error(AlignmentKey, $"is {alignment}, not a power of two from 4 to {MaxAlignment}");
        }
        List<TensorExtent> extents = [];
        for (int i = 0; i < count; i++)
        {
            extents.Add(ReadTensorInfo(cursor, alignment));
        }
        long dataBegin = (cursor.Position + alignment - 1) / alignment * alignment;
        for (int i = 0; i < count; i++)
        {
            TensorExtent extent = extents[i];
            extents[i] = extent.Begin <= file.Length
                ? extent with { Begin = extent.Begin + dataBegin }
                : throw new CheckpointException(file.Name, $"the file is truncated: tensor {CheckpointException.Quote(extent.Name)} begins beyond its end");
        }
        Dictionary<string, TensorSource> tensors = [];
        TensorExtent.AddTo(tensors, extents, file);
        return tensors;
    }

    private static TensorExtent ReadTensorInfo(GgufCursor cursor, int alignment)
    {
        string name = cursor.ReadString("a tensor's name", MaxNameBytes);
        uint rank = cursor.ReadUInt32();
        if (rank is 0 or > MaxRank)
        {
            throw Error($"has {rank} dimensions; 1 to {MaxRank} are possible");
        }
        long[] shape = new long[rank];
        for (int i = (int)rank - 1; i >= 0; i--)
        {
            ulong dimension = cursor.ReadUInt64();
            shape[i] = dimension is > 0 and <= int.MaxValue ? (long)dimension : throw Error($"has a dimension of {dimension}");
        }
        uint type = cursor.ReadUInt32();
        WeightFormat format = GgmlType.ToFormat(type)
            ?? throw Error($"has type {GgmlType.Name(type)}; supported are {string.Join(", ", Enum.GetValues<WeightFormat>().Where(served => !served.HasSeparateScales()))}");
        ulong offset = cursor.ReadUInt64();
        if (offset > long.MaxValue || (long)offset % alignment != 0)
        {
            throw Error($"has offset {offset}, which is not a multiple of the alignment {alignment}");
        }
        return new TensorExtent(name, format, shape, (long)offset, TensorExtent.Size(cursor.FileName, name, format, shape));

        CheckpointException Error(string problem) => new(cursor.FileName, $"tensor {CheckpointException.Quote(name)} {problem}");
    }
}
