using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Weights;

public sealed class WeightFilesFuzzTests
{
    private const int Rounds = 1000;
    private const long MaxBytes = 4 << 20;

    [Test]
    public void Damaged_safetensors_open_or_are_refused()
    {
        byte[] whole = new SafetensorsWriter().Add("model.norm.weight", "F32", [4], new byte[16]).Add("model.embed", "BF16", [3, 8], new byte[48])
            .Add("x", "F16", [2, 2, 2], new byte[16]).ToBytes();
        using TemporaryFolder folder = new();
        CheckpointFuzzing.Run(whole, Rounds, text: false, MaxBytes, bytes => ReadAll(Safetensors.Open(folder.Write("model.safetensors", bytes))));
        CheckpointFuzzing.Run(whole, Rounds, text: true, MaxBytes, bytes => ReadAll(Safetensors.Open(folder.Write("model.safetensors", bytes))));
    }

    [Test]
    public void Damaged_indexes_open_or_are_refused()
    {
        using TemporaryFolder folder = new();
        folder.Write("a.safetensors", new SafetensorsWriter().Add("a", "F32", [1], new byte[4]).ToBytes());
        folder.Write("b.safetensors", new SafetensorsWriter().Add("b", "F32", [1], new byte[4]).ToBytes());
        byte[] index = """{"metadata": {"total_size": 8}, "weight_map": {"a": "a.safetensors", "b": "b.safetensors"}}"""u8.ToArray();
        CheckpointFuzzing.Run(index, Rounds, text: true, MaxBytes, bytes =>
        {
            folder.Write("model.safetensors.index.json", bytes);
            ReadAll(Safetensors.OpenSnapshot(folder.Path));
        });
    }

    [Test]
    public void Damaged_GGUF_files_open_or_are_refused()
    {
        byte[] whole = new GgufWriter().Key("general.architecture", "llama").Key("general.alignment", 32u).Key("n", 7ul).Key("f", 0.5f).Key("b", true)
            .Key("texts", new[] { "a", "bc" }).Key("numbers", new[] { 1, 2, 3 }).Tensor("w", 8, [64, 2], new byte[136]).Tensor("k", 12, [256], new byte[144])
            .Tensor("v", 0, [3], new byte[12]).ToBytes();
        using TemporaryFolder folder = new();
        CheckpointFuzzing.Run(whole, 2 * Rounds, text: false, MaxBytes, bytes =>
        {
            using GgufFile file = GgufFile.Open(folder.Write("model.gguf", bytes));
            ReadAll(file.Tensors);
        });
    }

    private static void ReadAll(TensorArchive archive)
    {
        using (archive)
        {
            foreach (string name in archive.Names)
            {
                CheckpointFiles.BytesOf(archive.Get(name));
            }
        }
    }
}
