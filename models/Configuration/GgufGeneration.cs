using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Configuration;

/// <summary>Generation defaults of a GGUF file: its special ids; end of text, of turn and of message all end a text.</summary>
internal static class GgufGeneration
{
    private const string Bos = "tokenizer.ggml.bos_token_id";

    private static readonly string[] Ends =
        ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];

    /// <exception cref="CheckpointException">An id is outside the vocabulary.</exception>
    public static GenerationDefaults Read(GgufMetadata metadata, int vocabularySize) => new()
    {
        EosTokenIds = [.. Ends.Select(key => FindId(metadata, key, vocabularySize)).OfType<int>().Distinct()],
        BosTokenId = FindId(metadata, Bos, vocabularySize),
    };

    private static int? FindId(GgufMetadata metadata, string key, int vocabularySize) =>
        metadata.FindInt32(key) is not int id ? null
        : id >= 0 && id < vocabularySize ? id
        : throw metadata.Error(key, $"is {id}, not in 0 to {vocabularySize - 1}");
}
