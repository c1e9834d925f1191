using LlamaServe.Models.Checkpoints;
using LlamaServe.Models.Tests.Decoders;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Checkpoints;

public sealed class GgufCheckpointTests
{
    private static readonly object[] HostileValues =
    [
        0u, 1u, -1, 7u, uint.MaxValue, long.MinValue, ulong.MaxValue, 0.5f, float.NaN, float.PositiveInfinity, 1e300, true, "", "llama", "none",
        Array.Empty<uint>(), new[] { 6u, 6u, 6u }, new[] { "a" },
    ];

    private TemporaryFolder _folder = null!;
    private TinyGguf _gguf = null!;

    [SetUp]
    public void SetUp()
    {
        _folder = new TemporaryFolder();
        _gguf = new TinyGguf(TinyModels.Create(TinyModel.Llama31, _folder.Path, seed: 1));
    }

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase("general.architecture", "mixtral", "'general.architecture' is 'mixtral'; served are llama, qwen2, qwen3, qwen3moe")]
    [TestCase("llama.expert_count", 8u, "'llama.expert_used_count' is missing")]
    [TestCase("llama.rope.scaling.type", "yarn", "'llama.rope.scaling.type' is 'yarn'; supported are none and linear")]
    [TestCase("llama.rope.dimension_count", 8u, "'llama.rope.dimension_count' is 8, expected 16")]
    [TestCase("llama.attention.value_length", 32u, "'llama.attention.value_length' is 32, expected 16")]
    [TestCase("llama.attention.scale", 0.1f, "'llama.attention.scale' is given, which is not supported")]
    [TestCase("llama.vocab_size", 32000u, "'llama.vocab_size' is 32000, expected 288")]
    [TestCase("llama.attention.head_count", 0u, "'llama.attention.head_count' is 0, not in 1 to 1024")]
    [TestCase("llama.attention.head_count_kv", 4u, "6 attention heads are not a multiple of 4 key/value heads")]
    [TestCase("llama.rope.freq_base", 0f, "'llama.rope.freq_base' is 0, not in 1 to")]
    [TestCase("tokenizer.ggml.eos_token_id", 288u, "'tokenizer.ggml.eos_token_id' is 288, not in 0 to 287")]
    public void What_is_not_served_is_refused_by_name(string key, object value, string problem)
    {
        Dictionary<string, object> metadata = _gguf.Metadata();
        metadata[key] = value;

        CheckpointException? error = Assert.Throws<CheckpointException>(() => Open(metadata));

        Assert.That(error!.Message, Does.StartWith("tiny.gguf: ").And.Contain(problem));
    }

    [TestCase("qwen3moe.expert_count", 1025u, "'qwen3moe.expert_count' is 1025, not in 1 to 1024")]
    [TestCase("qwen3moe.expert_count", 8u, "'blk.0.ffn_gate_inp.weight' has shape [9, 96], expected [8, 96]")]
    [TestCase("qwen3moe.expert_used_count", 10u, "a token cannot go to 10 of 9 experts")]
    [TestCase("qwen3moe.expert_shared_count", 1u, "'qwen3moe.expert_shared_count' is 1, expected 0")]
    [TestCase("qwen3moe.expert_gating_func", 2u, "'qwen3moe.expert_gating_func' is 2, expected 1")]
    [TestCase("qwen3moe.expert_weights_scale", 2.5f, "'qwen3moe.expert_weights_scale' is given, which is not supported")]
    public void Mixtures_that_are_not_served_are_refused_by_name(string key, object value, string problem)
    {
        _gguf = new TinyGguf(TinyModels.Create(TinyModel.Qwen3Moe with { DenseLayers = [] }, _folder.Path, seed: 1));
        Assert.That(() => Open(_gguf.Metadata()), Throws.Nothing);
        What_is_not_served_is_refused_by_name(key, value, problem);
    }

    [Test]
    public void Experts_are_refused_where_the_family_has_none()
    {
        _gguf = new TinyGguf(TinyModels.Create(TinyModel.Qwen2, _folder.Path, seed: 1));
        What_is_not_served_is_refused_by_name("qwen2.expert_count", 4u, "'qwen2.expert_count' is 4: mixtures of experts are not supported in qwen2");
    }

    [Test]
    public void Every_key_with_every_hostile_value_opens_or_is_refused()
    {
        string[] extra = ["llama.rope.scaling.type", "llama.rope.scaling.factor", "llama.rope.scale_linear", "llama.attention.sliding_window", "llama.vocab_size"];
        foreach (string key in _gguf.Metadata().Keys.Concat(extra))
        {
            foreach (object value in HostileValues)
            {
                Dictionary<string, object> metadata = _gguf.Metadata();
                metadata[key] = value;
                OpenOrRefuse(metadata);
            }
            Dictionary<string, object> without = _gguf.Metadata();
            without.Remove(key);
            OpenOrRefuse(without);
        }
    }

    private void OpenOrRefuse(Dictionary<string, object> metadata)
    {
        try
        {
            Open(metadata);
        }
        catch (CheckpointException error)
        {
            Assert.That(error.Message, Does.StartWith("tiny.gguf: "));
        }
    }

    private void Open(Dictionary<string, object> metadata)
    {
        File.WriteAllBytes(_folder.File("tiny.gguf"), _gguf.ToBytes(metadata));
        Checkpoint.OpenGguf(GgufFile.Open(_folder.File("tiny.gguf"))).Dispose();
    }
}
