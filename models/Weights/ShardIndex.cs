namespace LlamaServe.Models.Weights;

/// <summary>
/// Opens safetensors shards through their index, {"weight_map": {tensor: file}}. Index and shards must agree exactly,
/// and a shard is a plain file name beside the index.
/// </summary>
internal static class ShardIndex
{
    public const string FileName = "model.safetensors.index.json";

    private const int MaxIndexBytes = 100_000_000;
    private const int MaxShards = 4096;

    /// <exception cref="CheckpointException">Index or shards are damaged or disagree.</exception>
    public static TensorArchive Open(string path)
    {
        Dictionary<string, string> shardOf = ReadWeightMap(path);
        string directory = Path.GetDirectoryName(Path.GetFullPath(path))!;
        List<MappedFile> files = [];
        try
        {
            Dictionary<string, TensorSource> tensors = [];
            foreach (string shard in shardOf.Values.Distinct(StringComparer.Ordinal))
            {
                MappedFile file = MappedFile.Open(Path.Combine(directory, shard));
                files.Add(file);
                Safetensors.AddTensors(tensors, file);
            }
            CheckAgreement(shardOf, tensors);
            return new TensorArchive(FileName, tensors, files);
        }
        catch
        {
            files.ForEach(file => file.Dispose());
            throw;
        }
    }

    private static Dictionary<string, string> ReadWeightMap(string path)
    {
        Dictionary<string, string> shardOf = [];
        HashSet<string> shards = [];
        foreach ((string tensor, CheckpointJson value) in CheckpointJson.Load(path, MaxIndexBytes).Get("weight_map").Properties())
        {
            string shard = value.Text();
            if (shard != Path.GetFileName(shard) || shard.AsSpan().ContainsAny("/\\:\0")
                || !shard.EndsWith(".safetensors", StringComparison.Ordinal))
            {
                throw new CheckpointException(FileName,
                    $"tensor {CheckpointException.Quote(tensor)} is in {CheckpointException.Quote(shard)}, which is no plain name of a safetensors file");
            }
            shardOf.Add(tensor, shard);
            if (shards.Add(shard) && shards.Count > MaxShards)
            {
                throw new CheckpointException(FileName, $"lists more than {MaxShards} shards");
            }
        }
        return shardOf;
    }

    private static void CheckAgreement(Dictionary<string, string> shardOf, Dictionary<string, TensorSource> tensors)
    {
        foreach ((string name, string shard) in shardOf)
        {
            if (!tensors.TryGetValue(name, out TensorSource? tensor) || tensor.FileName != shard)
            {
                throw new CheckpointException(shard, $"tensor {CheckpointException.Quote(name)}, listed in {FileName}, is missing");
            }
        }
        foreach (TensorSource tensor in tensors.Values)
        {
            if (!shardOf.ContainsKey(tensor.Name))
            {
                throw new CheckpointException(tensor.FileName, $"tensor {CheckpointException.Quote(tensor.Name)} is not listed in {FileName}");
            }
        }
    }
}
