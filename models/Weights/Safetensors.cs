using System.Buffers.Binary;
using LlamaServe.Kernels;

namespace LlamaServe.Models.Weights;

/// <summary>
/// Reads safetensors files: 8 bytes of header length, a JSON header {name: {dtype, shape, data_offsets}}, then the data.
/// As the format demands, the tensors cover the data without holes or overlaps.
/// </summary>
/// <seealso href="https://huggingface.co/docs/safetensors"/>
public static class Safetensors
{
    private const int MaxHeaderBytes = 100_000_000;
    private const int MaxRank = 8;
    private const string SingleFile = "model.safetensors";

    /// <summary>Opens the weights of a Hugging Face snapshot folder: one file, or shards and their index.</summary>
    /// <exception cref="CheckpointException">The folder has none, or they are damaged.</exception>
    public static TensorArchive OpenSnapshot(string directory)
    {
        string single = Path.Combine(directory, SingleFile);
        string index = Path.Combine(directory, ShardIndex.FileName);
        if (File.Exists(single))
        {
            return Open(single);
        }
        if (File.Exists(index))
        {
            return ShardIndex.Open(index);
        }
        string folder = Path.GetFileName(Path.TrimEndingDirectorySeparator(directory));
        string hint = Directory.Exists(directory) && Directory.EnumerateFiles(directory, "*.bin").Any()
            ? "; PyTorch pickles (.bin) can run code and are not read: convert them to safetensors"
            : "";
        throw new CheckpointException(folder, $"the folder has neither {SingleFile} nor {ShardIndex.FileName}{hint}");
    }

    /// <summary>Opens one safetensors file.</summary>
    /// <exception cref="CheckpointException">It is damaged or has a tensor of a type that is not supported.</exception>
    public static TensorArchive Open(string path)
    {
        MappedFile file = MappedFile.Open(path);
        try
        {
            Dictionary<string, TensorSource> tensors = [];
            AddTensors(tensors, file);
            return new TensorArchive(file.Name, tensors, [file]);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    internal static void AddTensors(Dictionary<string, TensorSource> tensors, MappedFile file)
    {
        Span<byte> prefix = stackalloc byte[sizeof(ulong)];
        file.Read(0, prefix);
        ulong headerLength = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (headerLength > MaxHeaderBytes)
        {
            throw new CheckpointException(file.Name, $"is no safetensors file: its header would have {headerLength} bytes");
        }
        if ((long)headerLength > file.Length - sizeof(ulong))
        {
            throw new CheckpointException(file.Name, "the file is truncated inside its header");
        }
        byte[] header = new byte[headerLength];
        file.Read(sizeof(ulong), header);
        long dataBegin = sizeof(ulong) + (long)headerLength;
        List<TensorExtent> extents = [];
        foreach ((string name, CheckpointJson entry) in CheckpointJson.Parse(file.Name, header).Properties())
        {
            if (name != "__metadata__")
            {
                extents.Add(ReadEntry(file, name, entry, dataBegin));
            }
        }
        TensorExtent.AddTo(tensors, extents, file);
        CheckCoverage(extents, file, dataBegin);
    }

    private static TensorExtent ReadEntry(MappedFile file, string name, CheckpointJson entry, long dataBegin)
    {
        string tensor = $"tensor {CheckpointException.Quote(name)}";
        string type = entry.Get("dtype").Text();
        WeightFormat? format = type switch
        {
            "F32" => WeightFormat.F32,
            "F16" => WeightFormat.F16,
            "BF16" => WeightFormat.BF16,
            "I8" => WeightFormat.Int8,
            "F8_E4M3" => WeightFormat.Fp8,
            "I32" => null,
            _ => throw new CheckpointException(file.Name,
                $"{tensor} has type {CheckpointException.Quote(type)}; supported are F32, F16 and BF16, and in quantized snapshots I32, I8 and F8_E4M3"),
        };
        long[] shape = [.. entry.Get("shape").Items().Take(MaxRank + 1).Select(dimension => dimension.Integer())];
        if (shape.Length > MaxRank || shape.Any(dimension => dimension < 0))
        {
            throw new CheckpointException(file.Name, $"{tensor} has an impossible shape");
        }
        long[] offsets = [.. entry.Get("data_offsets").Items().Take(3).Select(offset => offset.Integer())];
        if (offsets.Length != 2 || offsets[0] < 0 || offsets[1] < offsets[0] || offsets[1] > long.MaxValue - dataBegin)
        {
            throw new CheckpointException(file.Name, $"{tensor} has impossible data_offsets");
        }
        long size = TensorExtent.Size(file.Name, name, format, shape);
        if (size != offsets[1] - offsets[0])
        {
            throw new CheckpointException(file.Name, $"{tensor} takes {size} bytes but data_offsets span {offsets[1] - offsets[0]}");
        }
        return new TensorExtent(name, format, shape, dataBegin + offsets[0], size);
    }

    private static void CheckCoverage(List<TensorExtent> sorted, MappedFile file, long dataBegin)
    {
        long covered = dataBegin;
        foreach (TensorExtent extent in sorted)
        {
            if (extent.Begin != covered)
            {
                throw new CheckpointException(file.Name, $"there is a hole in the data before tensor {CheckpointException.Quote(extent.Name)}");
            }
            covered = extent.End;
        }
        if (covered != file.Length)
        {
            throw new CheckpointException(file.Name, $"{file.Length - covered} bytes at the end belong to no tensor");
        }
    }
}
