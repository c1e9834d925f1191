using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace LlamaServe.Bench.Training;

/// <summary>Writes a model as a Hugging Face snapshot: weights, config, tokenizer and generation defaults.</summary>
internal static class SnapshotWriter
{
    private static readonly JsonSerializerOptions Indented =
        new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static void Write(string folder, TorchLlama model, BytePairVocabulary vocabulary)
    {
        Directory.CreateDirectory(folder);
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), model.Parameters);
        WriteJson(folder, "config.json", Config(model.Shape, vocabulary));
        WriteJson(folder, "generation_config.json", GenerationConfig(vocabulary));
        WriteJson(folder, "tokenizer_config.json", TokenizerConfig(model.Shape));
        WriteJson(folder, "tokenizer.json", TokenizerJson.Create(vocabulary));
    }

    private static void WriteJson(string folder, string name, JsonObject content) =>
        File.WriteAllText(Path.Combine(folder, name), content.ToJsonString(Indented) + "\n");

    private static JsonObject Config(LlamaShape shape, BytePairVocabulary vocabulary) => new()
    {
        ["architectures"] = new JsonArray("LlamaForCausalLM"),
        ["attention_bias"] = false,
        ["attention_dropout"] = 0.0,
        ["bos_token_id"] = vocabulary.BeginOfTextToken,
        ["eos_token_id"] = vocabulary.EndOfTextToken,
        ["head_dim"] = shape.HeadSize,
        ["hidden_act"] = "silu",
        ["hidden_size"] = shape.HiddenSize,
        ["initializer_range"] = 0.02,
        ["intermediate_size"] = shape.IntermediateSize,
        ["max_position_embeddings"] = shape.MaxPositions,
        ["mlp_bias"] = false,
        ["model_type"] = "llama",
        ["num_attention_heads"] = shape.Heads,
        ["num_hidden_layers"] = shape.Layers,
        ["num_key_value_heads"] = shape.KeyValueHeads,
        ["rms_norm_eps"] = (double)(decimal)shape.NormEpsilon,
        ["rope_scaling"] = null,
        ["rope_theta"] = (double)shape.RopeTheta,
        ["tie_word_embeddings"] = true,
        ["torch_dtype"] = "bfloat16",
        ["use_cache"] = true,
        ["vocab_size"] = shape.VocabularySize,
    };

    private static JsonObject GenerationConfig(BytePairVocabulary vocabulary) => new()
    {
        ["bos_token_id"] = vocabulary.BeginOfTextToken,
        ["do_sample"] = true,
        ["eos_token_id"] = vocabulary.EndOfTextToken,
        ["temperature"] = 0.8,
        ["top_p"] = 0.95,
    };

    private static JsonObject TokenizerConfig(LlamaShape shape) => new()
    {
        ["add_bos_token"] = true,
        ["add_eos_token"] = false,
        ["bos_token"] = BytePairVocabulary.BeginOfText,
        ["clean_up_tokenization_spaces"] = false,
        ["eos_token"] = BytePairVocabulary.EndOfText,
        ["model_max_length"] = shape.MaxPositions,
        ["tokenizer_class"] = "PreTrainedTokenizerFast",
    };
}
