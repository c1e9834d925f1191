using System.Text;
using System.Text.Json.Nodes;
using LlamaServe.Kernels;
using LlamaServe.Models.Configuration;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Configuration;

public sealed class SnapshotConfigTests
{
    [Test]
    public void A_llama_config_is_read_as_written()
    {
        ModelConfig config = Read(TinyModel.Llama31, _ => { });

        Assert.Multiple(() =>
        {
            Assert.That(config.Architecture, Is.EqualTo(Architecture.Llama));
            Assert.That((config.HiddenSize, config.IntermediateSize, config.Layers), Is.EqualTo((96, 160, 3)));
            Assert.That((config.Heads, config.KvHeads, config.HeadDim), Is.EqualTo((6, 2, 16)));
            Assert.That((config.VocabularySize, config.ContextLength), Is.EqualTo((288, 256)));
            Assert.That(config.RmsNormEpsilon, Is.EqualTo(1e-5f));
            Assert.That(config.Rope.Style, Is.EqualTo(RopeStyle.HalfSplit));
            Assert.That(config.TiedEmbeddings, Is.False);
            Assert.That(config.WidestActivation, Is.EqualTo(320));
        });
    }

    [Test]
    public void What_may_be_left_out_takes_its_default()
    {
        ModelConfig config = Read(TinyModel.Llama2, json =>
        {
            foreach (string key in (string[])["num_key_value_heads", "head_dim", "rope_theta", "rms_norm_eps", "hidden_act", "tie_word_embeddings"])
            {
                json.Remove(key);
            }
        });

        Assert.Multiple(() =>
        {
            Assert.That((config.KvHeads, config.HeadDim, config.TiedEmbeddings), Is.EqualTo((6, 16, false)));
            Assert.That(config.RmsNormEpsilon, Is.EqualTo(1e-6f));
            Assert.That(config.Rope.InverseFrequencies[1], Is.EqualTo(Math.Pow(10000, -2.0 / 16)).Within(1e-15));
        });
    }

    [Test]
    public void Without_architectures_the_model_type_decides() =>
        Assert.That(Read(TinyModel.Qwen2, json => json.Remove("architectures")).Architecture, Is.EqualTo(Architecture.Qwen2));

    [TestCase("architectures", """["MixtralForCausalLM"]""", "'architectures[]' is 'MixtralForCausalLM'; served are")]
    [TestCase("architectures", """["LlamaForCausalLM", "LlamaForCausalLM"]""", "'architectures' must name one architecture")]
    [TestCase("attention_bias", "true", "'attention_bias' is true, which is not supported")]
    [TestCase("mlp_bias", "true", "'mlp_bias' is true, which is not supported")]
    [TestCase("hidden_act", "\"gelu\"", "'hidden_act' is 'gelu'; supported is 'silu'")]
    [TestCase("quantization_config", """{"quant_method": "gptq", "bits": 4}""", "'quantization_config' is for 'gptq'; quantized snapshots are not supported")]
    [TestCase("partial_rotary_factor", "0.5", "'partial_rotary_factor' is not 1")]
    [TestCase("hidden_size", "0", "'hidden_size' is 0, not in 1 to 65536")]
    [TestCase("hidden_size", "9223372036854775807", "'hidden_size' is 9223372036854775807, not in 1 to 65536")]
    [TestCase("num_attention_heads", "\"six\"", "'num_attention_heads' must be an integer")]
    [TestCase("num_key_value_heads", "4", "6 attention heads are not a multiple of 4 key/value heads")]
    [TestCase("head_dim", "15", "heads of 15 elements cannot be rotated in pairs")]
    [TestCase("vocab_size", "null", "'vocab_size' is missing")]
    [TestCase("rms_norm_eps", "0", "'rms_norm_eps' is 0, not between 0 and 1")]
    public void What_is_not_served_is_refused_by_name(string key, string value, string problem)
    {
        CheckpointException? error = Assert.Throws<CheckpointException>(
            () => Read(TinyModel.Llama2, json => json[key] = JsonNode.Parse(value)));

        Assert.That(error!.Message, Does.StartWith("config.json: ").And.Contain(problem));
    }

    internal static ModelConfig Read(TinyModel model, Action<JsonObject> change)
    {
        JsonObject json = TinyModels.Config(model);
        change(json);
        return SnapshotConfig.Read(CheckpointJson.Parse("config.json", Encoding.UTF8.GetBytes(json.ToJsonString())));
    }
}
