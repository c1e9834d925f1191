using LlamaServe.Models.Checkpoints;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Checkpoints;

public sealed class SnapshotCheckpointTests
{
    private static readonly TinyModel[] Models =
        [TinyModel.Llama2, TinyModel.Llama31, TinyModel.Mistral, TinyModel.Qwen2, TinyModel.Qwen3, TinyModel.Mixtral, TinyModel.Qwen3Moe];

    [TestCaseSource(nameof(Models))]
    public void A_complete_snapshot_opens(TinyModel model)
    {
        using TemporaryFolder folder = new();
        TinyModels.Create(model, folder.Path, seed: 1);

        using Checkpoint checkpoint = Checkpoint.OpenSnapshot(folder.Path);

        Assert.That(checkpoint.Config.Layers, Is.EqualTo(model.Layers));
    }

    [Test]
    public void Missing_tensors_are_counted_and_the_first_few_named()
    {
        CheckpointException error = OpenAltered(TinyModel.Llama2, tensors =>
        {
            foreach (string name in tensors.Keys.Where(name => name.Contains("_proj", StringComparison.Ordinal)).ToList())
            {
                tensors.Remove(name);
            }
        });

        Assert.That(error.Message, Is.EqualTo(
            "model.safetensors: 21 tensors are missing: 'model.layers.0.self_attn.q_proj.weight'; 'model.layers.0.self_attn.k_proj.weight'; "
            + "'model.layers.0.self_attn.v_proj.weight'; 'model.layers.0.self_attn.o_proj.weight'; 'model.layers.0.mlp.gate_proj.weight' and 16 more"));
    }

    [Test]
    public void A_tensor_of_the_wrong_shape_is_named_with_both_shapes()
    {
        CheckpointException error = OpenAltered(TinyModel.Llama2, tensors =>
            tensors["model.layers.1.mlp.up_proj.weight"] = new TinyTensor([96, 160], new float[96 * 160]));

        Assert.That(error.Message, Does.Contain("'model.layers.1.mlp.up_proj.weight' has shape [96, 160], expected [160, 96]"));
    }

    [Test]
    public void An_expert_that_is_missing_is_named()
    {
        CheckpointException error = OpenAltered(TinyModel.Mixtral, tensors => tensors.Remove("model.layers.1.block_sparse_moe.experts.4.w2.weight"));

        Assert.That(error.Message, Is.EqualTo("model.safetensors: 1 tensors are missing: 'model.layers.1.block_sparse_moe.experts.4.w2.weight'"));
    }

    [Test]
    public void A_layer_has_an_mlp_or_experts()
    {
        CheckpointException error = OpenAltered(TinyModel.Qwen3Moe, tensors =>
            tensors["model.layers.1.mlp.gate.weight"] = new TinyTensor([9, 96], new float[9 * 96]));

        Assert.That(error.Message, Is.EqualTo("model.safetensors: 1 tensors are unknown to Qwen3Moe: 'model.layers.1.mlp.gate.weight'"));
    }

    [Test]
    public void A_vocabulary_that_is_not_the_embedding_s_is_a_wrong_shape()
    {
        CheckpointException error = OpenAltered(TinyModel.Llama2, tensors =>
            tensors["model.embed_tokens.weight"] = new TinyTensor([287, 96], new float[287 * 96]));

        Assert.That(error.Message, Does.Contain("'model.embed_tokens.weight' has shape [287, 96], expected [288, 96]"));
    }

    [Test]
    public void Unknown_tensors_are_refused()
    {
        CheckpointException error = OpenAltered(TinyModel.Llama2, tensors =>
            tensors["model.layers.0.self_attn.q_proj.lora_A.weight"] = new TinyTensor([2, 96], new float[192]));

        Assert.That(error.Message, Is.EqualTo(
            "model.safetensors: 1 tensors are unknown to Llama: 'model.layers.0.self_attn.q_proj.lora_A.weight'"));
    }

    [Test]
    public void Biases_are_unknown_to_a_llama_and_missing_from_a_qwen2()
    {
        CheckpointException llama = OpenAltered(TinyModel.Llama2 with { QkvBias = true }, _ => { });
        CheckpointException qwen = OpenAltered(TinyModel.Qwen2 with { QkvBias = false }, _ => { });

        Assert.Multiple(() =>
        {
            Assert.That(llama.Message, Does.Contain("9 tensors are unknown to Llama: 'model.layers.0.self_attn.k_proj.bias'"));
            Assert.That(qwen.Message, Does.Contain("9 tensors are missing: 'model.layers.0.self_attn.q_proj.bias'"));
        });
    }

    [Test]
    public void Harmless_extras_are_tolerated()
    {
        using TemporaryFolder folder = new();
        Alter(folder.Path, TinyModel.Qwen3, tensors =>
        {
            tensors["lm_head.weight"] = new TinyTensor([288, 96], new float[288 * 96]);
            tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = new TinyTensor([16], new float[16]);
        });

        using Checkpoint checkpoint = Checkpoint.OpenSnapshot(folder.Path);

        Assert.That(checkpoint.Config.TiedEmbeddings, Is.True);
    }

    [Test]
    public void A_folder_without_config_is_refused()
    {
        using TemporaryFolder folder = new();

        CheckpointException? error = Assert.Throws<CheckpointException>(() => Checkpoint.OpenSnapshot(folder.Path).Dispose());

        Assert.That(error!.Message, Is.EqualTo("config.json: the file does not exist"));
    }

    private static CheckpointException OpenAltered(TinyModel model, Action<Dictionary<string, TinyTensor>> change)
    {
        using TemporaryFolder folder = new();
        Alter(folder.Path, model, change);
        return Assert.Throws<CheckpointException>(() => Checkpoint.OpenSnapshot(folder.Path).Dispose())!;
    }

    private static void Alter(string folder, TinyModel model, Action<Dictionary<string, TinyTensor>> change)
    {
        Dictionary<string, TinyTensor> tensors = new(TinyModels.Create(model, folder, seed: 1).Tensors);
        change(tensors);
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), tensors, bfloat16: false);
    }
}
