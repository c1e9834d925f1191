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

    [TestCase("architectures", """["MambaForCausalLM"]""", "'architectures[]' is 'MambaForCausalLM'; served are")]
    [TestCase("architectures", """["LlamaForCausalLM", "LlamaForCausalLM"]""", "'architectures' must name one architecture")]
    [TestCase("attention_bias", "true", "'attention_bias' is true, which is not supported")]
    [TestCase("mlp_bias", "true", "'mlp_bias' is true, which is not supported")]
    [TestCase("hidden_act", "\"gelu\"", "'hidden_act' is 'gelu'; supported is 'silu'")]
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

    [Test]
    public void A_mixture_is_read_as_written()
    {
        ModelConfig mixtral = Read(TinyModel.Mixtral, _ => { }), qwen = Read(TinyModel.Qwen3Moe, _ => { });

        Assert.Multiple(() =>
        {
            Assert.That((mixtral.Experts!.Count, mixtral.Experts.PerToken, mixtral.Experts.IntermediateSize), Is.EqualTo((5, 2, 160)));
            Assert.That((mixtral.Experts.NormalizesWeights, mixtral.SlidingWindows[0]), Is.EqualTo((true, 0)));
            Assert.That((qwen.Experts!.Count, qwen.Experts.PerToken, qwen.Experts.IntermediateSize), Is.EqualTo((9, 3, 64)));
            Assert.That(qwen.Experts.NormalizesWeights, Is.False);
            Assert.That(Enumerable.Range(0, 3).Select(qwen.IsSparse), Is.EqualTo((bool[])[true, false, true]));
            Assert.That((mixtral.WidestActivation, qwen.WidestActivation), Is.EqualTo((640, 384)));
        });
    }

    [Test]
    public void Every_second_layer_may_have_experts()
    {
        ModelConfig config = Read(TinyModel.Qwen3Moe, json => (json["decoder_sparse_step"], json["mlp_only_layers"]) = (2, null));
        Assert.That(Enumerable.Range(0, 3).Select(config.IsSparse), Is.EqualTo((bool[])[false, true, false]));
    }

    [TestCase("num_experts", "0", "'num_experts' is 0, not in 1 to 1024")]
    [TestCase("num_experts_per_tok", "33", "'num_experts_per_tok' is 33, not in 1 to 32")]
    [TestCase("num_experts_per_tok", "10", "a token cannot go to 10 of 9 experts")]
    [TestCase("mlp_only_layers", "[3]", "'mlp_only_layers[]' is 3, not in 0 to 2")]
    public void Mixtures_that_are_not_served_are_refused_by_name(string key, string value, string problem)
    {
        CheckpointException? error = Assert.Throws<CheckpointException>(() => Read(TinyModel.Qwen3Moe, json => json[key] = JsonNode.Parse(value)));

        Assert.That(error!.Message, Does.StartWith("config.json: ").And.Contain(problem));
    }

    internal static ModelConfig Read(TinyModel model, Action<JsonObject> change)
    {
        JsonObject json = TinyModels.Config(model);
        change(json);
        return SnapshotConfig.Read(CheckpointJson.Parse("config.json", Encoding.UTF8.GetBytes(json.ToJsonString())));
    }
}
