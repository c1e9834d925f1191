using System.Text.Json.Nodes;
using LlamaServe.Models.Checkpoints;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Quantization;

/// <summary>Quantized snapshots that are opened, and those that are refused before a weight is read.</summary>
public sealed class QuantizedCheckpointTests
{
    private const string Module = "model.layers.0.mlp.up_proj";

    private static readonly string[] HostileValues =
        ["null", "true", "0", "-1", "33", "2147483648", "-9223372036854775808", "1e400", "\"\"", "\"gptq_v2\"", "[]", "{}", "[[[]]]", """{"a": {}}""", "\"\\ud800\""];

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase("quantize_config.json", """{"bits": 4, "group_size": 32, "desc_act": false, "damp_percent": 0.01}""", QuantizedSnapshots.Gptq)]
    [TestCase("quant_config.json", """{"zero_point": true, "q_group_size": 32, "w_bit": 4, "version": "GEMM"}""", QuantizedSnapshots.Awq)]
    public void Older_tools_describe_it_in_a_file_of_its_own(string file, string text, string config)
    {
        TinySnapshot snapshot = QuantizedSnapshots.Create(config, _folder.Path, seed: 1);
        QuantizedSnapshots.WriteConfig(snapshot.Model, _folder.Path, quantization: null);
        Assert.That(Refusal(), Does.Contain("tensors are missing").And.Contain("q_proj.weight"));
        File.WriteAllText(_folder.File(file), text);
        Assert.That(Refusal(), Is.Null);
    }

    [TestCase("quant_method", "\"bitsandbytes\"", "'quantization_config.quant_method' is 'bitsandbytes'; supported are gptq, awq and compressed-tensors")]
    [TestCase("bits", "3", "'quantization_config.bits' is 3; supported are 4 and 8")]
    [TestCase("group_size", "48", "'quantization_config.group_size' is 48; supported are -1 and multiples of 32")]
    [TestCase("group_size", "0", "'quantization_config.group_size' is 0")]
    [TestCase("checkpoint_format", "\"marlin\"", "'quantization_config.checkpoint_format' is 'marlin'; supported are gptq and gptq_v2")]
    [TestCase("is_marlin_format", "true", "'quantization_config.is_marlin_format' is true")]
    [TestCase("lm_head", "true", "'quantization_config.lm_head' is true")]
    [TestCase("dynamic", """{"-:.*": {}}""", "'quantization_config.dynamic' gives modules settings")]
    [TestCase("group_size", "64", "'model.layers.0.self_attn.q_proj.qzeros' has shape [3, 16], expected [1, 16]")]
    [TestCase("bits", "8", "'model.layers.0.self_attn.q_proj.qweight' has shape [12, 128], expected [24, 128]")]
    public void Gptq_that_is_not_served_is_refused(string key, string value, string message) => Refuses(QuantizedSnapshots.Gptq, key, value, message);

    [TestCase("bits", "8", "'quantization_config.bits' is not 4")]
    [TestCase("version", "\"gemv\"", "'quantization_config.version' is not gemm")]
    [TestCase("zero_point", "false", "'quantization_config.zero_point' is not true")]
    [TestCase("backend", "\"llm-awq\"", "'quantization_config.backend' is not autoawq")]
    public void Awq_that_is_not_served_is_refused(string key, string value, string message) => Refuses(QuantizedSnapshots.Awq, key, value, message);

    [TestCase("format", "\"pack-quantized\"", "'quantization_config.format' is 'pack-quantized'; supported are int-quantized and float-quantized")]
    [TestCase("format", "\"float-quantized\"", "'quantization_config.config_groups.*.weights.type' is not float")]
    [TestCase("kv_cache_scheme", """{"num_bits": 8}""", "'quantization_config.kv_cache_scheme' is not null")]
    [TestCase("config_groups", "{}", "'quantization_config.config_groups' must have one group")]
    public void Compressed_tensors_that_are_not_served_are_refused(string key, string value, string message) => Refuses(QuantizedSnapshots.Int8, key, value, message);

    [TestCase("weights", "strategy", "\"group\"", "weights.strategy' is not channel or tensor")]
    [TestCase("weights", "num_bits", "4", "weights.num_bits' is not 8")]
    [TestCase("weights", "symmetric", "false", "weights.symmetric' is not true")]
    [TestCase("input_activations", "dynamic", "false", "input_activations.dynamic' is not true")]
    [TestCase("input_activations", "strategy", "\"tensor\"", "input_activations.strategy' is not token")]
    public void Other_arguments_of_compressed_tensors_are_refused(string part, string key, string value, string message)
    {
        TinySnapshot snapshot = QuantizedSnapshots.Create(QuantizedSnapshots.Int8, _folder.Path, seed: 1);
        JsonNode config = JsonNode.Parse(QuantizedSnapshots.Int8)!;
        config["config_groups"]!["group_0"]![part]![key] = JsonNode.Parse(value);
        QuantizedSnapshots.WriteConfig(snapshot.Model, _folder.Path, config);
        Assert.That(Refusal(), Does.Contain(message));
    }

    [Test]
    public void Columns_in_another_order_are_refused()
    {
        Replace(QuantizedSnapshots.Gptq, (name, writer) =>
        {
            if (name == Module)
            {
                int[] indices = [.. Enumerable.Range(0, 96).Select(column => column / 32)];
                (indices[31], indices[32]) = (indices[32], indices[31]);
                new QuantizedMatrix(160, 96, 4, 32, false, new Random(1)).WriteGptq(writer, name, 1, indices);
            }
        });
        Assert.That(Refusal(), Does.Contain($"'{Module}': its columns are in the order of their activations (desc_act)"));
    }

    [Test]
    public void A_module_may_have_floats_and_a_bias_of_zeros_but_no_other()
    {
        Replace(QuantizedSnapshots.Gptq, (name, writer) =>
        {
            if (name == Module)
            {
                writer.Add(name + ".weight", "F16", [160, 96], new byte[160 * 96 * 2]);
            }
            else
            {
                writer.Add(name + ".bias", "F16", [4], new byte[8]);
            }
        }, keep: name => name != Module);
        Assert.That(Refusal(), Is.Null);

        Replace(QuantizedSnapshots.Gptq, (name, writer) => writer.Add(name + ".bias", "F16", [4], [0, 0, 0, 0x3C, 0, 0, 0, 0]), keep: _ => true);
        Assert.That(Refusal(), Does.Contain("unknown to Llama").And.Contain("down_proj.bias"));
    }

    [TestCase("qweight", "F32", "has type F32, expected I32")]
    [TestCase("scales", "I32", "has type I32, expected F16 or BF16 or F32")]
    public void Tensors_of_another_type_are_refused(string suffix, string type, string message)
    {
        Replace(QuantizedSnapshots.Gptq, (name, writer) =>
        {
            if (name == Module)
            {
                writer.Add(name + ".qweight", suffix == "qweight" ? type : "I32", [12, 160], new byte[12 * 160 * 4]);
                writer.Add(name + ".qzeros", "I32", [3, 20], new byte[240]);
                writer.Add(name + ".scales", suffix == "scales" ? type : "F32", [3, 160], new byte[3 * 160 * 4]);
            }
        }, keep: name => name != Module);
        Assert.That(Refusal(), Does.Contain($"'{Module}.{suffix}' {message}"));
    }

    [TestCase("I32")]
    [TestCase("I8")]
    public void Integers_without_a_description_are_refused(string type)
    {
        Replace(QuantizedSnapshots.Gptq, (name, writer) =>
        {
            if (name == Module)
            {
                writer.Add(name + ".weight", type, [160, 96], new byte[160 * 96 * (type == "I32" ? 4 : 1)]);
            }
        }, keep: name => name != Module);
        Assert.That(Refusal(), Does.Contain($"'{Module}.weight' has type").And.Contain("expected F32, F16 or BF16"));
    }

    [TestCase(QuantizedSnapshots.Gptq)]
    [TestCase(QuantizedSnapshots.Awq)]
    [TestCase(QuantizedSnapshots.Fp8)]
    public void Every_key_with_every_hostile_value_opens_or_is_refused(string config)
    {
        TinySnapshot snapshot = QuantizedSnapshots.Create(config, _folder.Path, seed: 1);
        JsonObject json = TinyModels.Config(snapshot.Model), quantization = JsonNode.Parse(config)!.AsObject();
        foreach (string key in quantization.Select(property => property.Key).ToList())
        {
            JsonObject others = quantization.DeepClone().AsObject();
            others.Remove(key);
            foreach (string value in HostileValues)
            {
                // By hand, because 1e400 and lone surrogates do not survive a JSON library.
                string text = others.Count == 0 ? $"{{\"{key}\": {value}}}" : others.ToJsonString()[..^1] + $", \"{key}\": {value}}}";
                File.WriteAllText(_folder.File("config.json"), json.ToJsonString()[..^1] + $", \"quantization_config\": {text}}}");
                Assert.That(Refusal() ?? ": ", Does.Contain(": ").And.Not.Contain(_folder.Path));
            }
        }
    }

    [TestCase(QuantizedSnapshots.Gptq)]
    [TestCase(QuantizedSnapshots.Awq)]
    [TestCase(QuantizedSnapshots.Int8)]
    public void Damaged_files_load_or_are_refused(string config)
    {
        QuantizedSnapshots.Create(config, _folder.Path, seed: 1, QuantizedSnapshots.Model with { Layers = 1, VocabularySize = 32 });
        byte[] whole = File.ReadAllBytes(_folder.File("model.safetensors"));
        using Kernels.Cpu.CpuBackend backend = new();
        // Its header is a small part of the file; damage it half the time.
        int header = 8 + BitConverter.ToInt32(whole);
        CheckpointFuzzing.Run(whole[..header], rounds: 300, text: true, maxBytes: 64 << 20, damaged =>
        {
            File.WriteAllBytes(_folder.File("model.safetensors"), [.. damaged, .. whole[header..]]);
            using Checkpoint checkpoint = Checkpoint.OpenSnapshot(_folder.Path);
            checkpoint.Load(backend, progress: null).Dispose();
        });
    }

    private void Refuses(string config, string key, string value, string message)
    {
        TinySnapshot snapshot = QuantizedSnapshots.Create(config, _folder.Path, seed: 1);
        JsonNode altered = JsonNode.Parse(config)!;
        altered[key] = JsonNode.Parse(value);
        QuantizedSnapshots.WriteConfig(snapshot.Model, _folder.Path, altered);
        Assert.That(Refusal(), Does.Contain(message));
    }

    /// <summary>Writes a snapshot with other tensors for its modules, beside their own where <paramref name="keep"/> says so.</summary>
    private void Replace(string config, Action<string, SafetensorsWriter> write, Func<string, bool>? keep = null)
    {
        TinySnapshot snapshot = QuantizedSnapshots.Create(config, _folder.Path, seed: 1);
        Random random = new(1);
        SafetensorsWriter writer = new();
        foreach ((string name, TinyTensor tensor) in snapshot.Tensors)
        {
            string module = name[..^".weight".Length];
            if (!name.EndsWith("_proj.weight", StringComparison.Ordinal))
            {
                writer.Add(name, tensor, bfloat16: false);
                continue;
            }
            if (keep?.Invoke(module) ?? module != Module)
            {
                new QuantizedMatrix(tensor.Shape[0], tensor.Shape[1], 4, 32, false, random).WriteGptq(writer, module, 1);
            }
            write(module, writer);
        }
        File.WriteAllBytes(_folder.File("model.safetensors"), writer.ToBytes());
    }

    private string? Refusal()
    {
        try
        {
            Checkpoint.OpenSnapshot(_folder.Path).Dispose();
            return null;
        }
        catch (CheckpointException exception)
        {
            return exception.Message;
        }
    }
}
