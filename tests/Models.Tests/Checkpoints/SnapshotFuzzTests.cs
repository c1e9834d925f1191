using System.Text;
using System.Text.Json.Nodes;
using LlamaServe.Models.Checkpoints;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Checkpoints;

public sealed class SnapshotFuzzTests
{
    private static readonly string[] HostileValues =
    [
        "null", "true", "false", "0", "-1", "1", "7", "2147483647", "2147483648", "-9223372036854775808", "9223372036854775807",
        "1e400", "-1e400", "1e-400", "0.5", "\"\"", "\"llama3\"", "[]", "{}", "[1]", "[[[]]]", """{"rope_type": "llama3"}""",
        """["full_attention"]""", "\"\\ud800\"",
    ];

    private static readonly TinyModel[] Models = [TinyModel.Llama31, TinyModel.Qwen3Moe];

    [TestCaseSource(nameof(Models))]
    public void Every_key_with_every_hostile_value_opens_or_is_refused(TinyModel model)
    {
        using TemporaryFolder folder = new();
        TinyModels.Create(model, folder.Path, seed: 1);
        JsonObject config = TinyModels.Config(model);
        string[] extra = ["rope_parameters", "sliding_window", "use_sliding_window", "max_window_layers", "layer_types", "attention_bias", "quantization_config"];
        foreach (string key in config.Select(property => property.Key).Concat(extra).ToList())
        {
            foreach (string value in HostileValues)
            {
                // By hand, because 1e400 and lone surrogates do not survive a JSON library.
                JsonObject others = config.DeepClone().AsObject();
                others.Remove(key);
                OpenOrRefuse(folder, others.ToJsonString()[..^1] + $", \"{key}\": {value}}}");
            }
            JsonObject without = config.DeepClone().AsObject();
            without.Remove(key);
            OpenOrRefuse(folder, without.ToJsonString());
        }
    }

    [Test]
    public void Damaged_text_opens_or_is_refused()
    {
        using TemporaryFolder folder = new();
        TinyModels.Create(TinyModel.Qwen2, folder.Path, seed: 1);
        byte[] whole = File.ReadAllBytes(folder.File("config.json"));
        Random random = new(20261123);
        for (int i = 0; i < 2000; i++)
        {
            byte[] damaged = [.. whole];
            for (int flips = random.Next(1, 4); flips > 0; flips--)
            {
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            }
            OpenOrRefuse(folder, damaged.AsSpan(0, i % 4 == 0 ? random.Next(damaged.Length) : damaged.Length));
        }
    }

    [Test]
    public void Deep_nesting_is_refused()
    {
        using TemporaryFolder folder = new();
        TinyModels.Create(TinyModel.Llama2, folder.Path, seed: 1);
        File.WriteAllText(folder.File("config.json"), "{\"a\": " + new string('[', 100_000));

        Assert.Throws<CheckpointException>(() => Checkpoint.OpenSnapshot(folder.Path).Dispose());
    }

    private static void OpenOrRefuse(TemporaryFolder folder, string config) => OpenOrRefuse(folder, Encoding.UTF8.GetBytes(config));

    private static void OpenOrRefuse(TemporaryFolder folder, ReadOnlySpan<byte> config)
    {
        File.WriteAllBytes(folder.File("config.json"), config);
        TimeSpan started = Environment.CpuUsage.TotalTime;
        try
        {
            Checkpoint.OpenSnapshot(folder.Path).Dispose();
        }
        catch (CheckpointException error)
        {
            Assert.That(error.Message, Does.Contain(": ").And.Not.Contain(folder.Path));
        }
        Assert.That(Environment.CpuUsage.TotalTime - started, Is.LessThan(TimeSpan.FromSeconds(1)), Encoding.UTF8.GetString(config));
    }
}
