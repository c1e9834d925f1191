using System.Text.Json.Nodes;

namespace LlamaServe.Testing;

/// <summary>Writes random models of every served architecture as Hugging Face snapshots, within milliseconds.</summary>
public static class TinyModels
{
    /// <summary>Writes config.json, generation_config.json, model.safetensors and tokenizer.json into <paramref name="folder"/>.</summary>
    /// <param name="seed">Same model and seed, same files.</param>
    public static TinySnapshot Create(TinyModel model, string folder, int seed)
    {
        Directory.CreateDirectory(folder);
        Dictionary<string, TinyTensor> tensors = new TinyWeights(model, seed).Draw();
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), tensors, model.BFloat16);
        File.WriteAllText(Path.Combine(folder, "config.json"), Config(model).ToJsonString());
        File.WriteAllText(Path.Combine(folder, "generation_config.json"), new JsonObject
        {
            ["bos_token_id"] = IdWithRow(model, ByteTokenizer.BosId),
            ["eos_token_id"] = new JsonArray([.. new[] { IdWithRow(model, ByteTokenizer.EosId) }.OfType<JsonNode>()]),
        }.ToJsonString());
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), ByteTokenizer.Json());
        return new TinySnapshot(model, folder, tensors);
    }

    /// <summary>The model's config.json.</summary>
    public static JsonObject Config(TinyModel model)
    {
        JsonObject config = new()
        {
            ["architectures"] = new JsonArray(model.Architecture),
            ["model_type"] = model.ModelType,
            ["hidden_size"] = model.HiddenSize,
            ["intermediate_size"] = model.IntermediateSize,
            ["num_hidden_layers"] = model.Layers,
            ["num_attention_heads"] = model.Heads,
            ["num_key_value_heads"] = model.KvHeads,
            ["head_dim"] = model.HeadDim,
            ["vocab_size"] = model.VocabularySize,
            ["max_position_embeddings"] = model.ContextLength,
            ["rope_theta"] = model.RopeTheta,
            ["rms_norm_eps"] = model.RmsNormEpsilon,
            ["hidden_act"] = "silu",
            ["tie_word_embeddings"] = model.Tied,
            ["torch_dtype"] = model.BFloat16 ? "bfloat16" : "float32",
            ["bos_token_id"] = IdWithRow(model, ByteTokenizer.BosId),
            ["eos_token_id"] = IdWithRow(model, ByteTokenizer.EosId),
        };
        if (model.Llama3Scaling is var (factor, low, high, context))
        {
            config["rope_scaling"] = new JsonObject
            {
                ["rope_type"] = "llama3",
                ["factor"] = factor,
                ["low_freq_factor"] = low,
                ["high_freq_factor"] = high,
                ["original_max_position_embeddings"] = context,
            };
        }
        if (model.ModelType == "mixtral")
        {
            config["num_local_experts"] = model.Experts;
            config["num_experts_per_tok"] = model.ExpertsPerToken;
        }
        if (model.ModelType == "qwen3_moe")
        {
            config["num_experts"] = model.Experts;
            config["num_experts_per_tok"] = model.ExpertsPerToken;
            config["moe_intermediate_size"] = model.ExpertSize;
            config["norm_topk_prob"] = model.NormalizesExperts;
            config["decoder_sparse_step"] = 1;
            config["mlp_only_layers"] = new JsonArray([.. model.DenseLayers.Select(layer => JsonValue.Create(layer))]);
        }
        if (model.ModelType is "mistral" or "mixtral")
        {
            config["sliding_window"] = model.SlidingWindow > 0 ? model.SlidingWindow : null;
        }
        return config;
    }

    private static JsonValue? IdWithRow(TinyModel model, int id) => id < model.VocabularySize ? JsonValue.Create(id) : null;
}
