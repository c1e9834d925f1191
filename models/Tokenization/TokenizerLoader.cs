using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Tokenization;

/// <summary>Makes the tokenizer of a checkpoint from whichever files it has.</summary>
public static class TokenizerLoader
{
    private const string Json = "tokenizer.json";
    private const string SentencePiece = "tokenizer.model";

    /// <summary>
    /// From a Hugging Face snapshot folder: tokenizer.json (BPE, of bytes or of characters with byte fallback) or, without
    /// it, SentencePiece's tokenizer.model (BPE); and tokenizer_config.json if there.
    /// </summary>
    /// <exception cref="CheckpointException">The files are absent, damaged, or of a kind that is not supported.</exception>
    public static Tokenizer LoadSnapshot(string directory)
    {
        TokenizerConfig config = TokenizerConfig.LoadBeside(directory);
        if (File.Exists(Path.Combine(directory, Json)))
        {
            return TokenizerJson.Load(Path.Combine(directory, Json), config);
        }
        if (File.Exists(Path.Combine(directory, SentencePiece)))
        {
            return SentencePieceModel.Load(Path.Combine(directory, SentencePiece), config);
        }
        throw new CheckpointException(Path.TrimEndingDirectorySeparator(directory), $"the folder has neither {Json} nor {SentencePiece}");
    }

    /// <summary>From the key-values of a GGUF file (<c>tokenizer.ggml.model</c> llama or gpt2).</summary>
    /// <exception cref="CheckpointException">They are absent, contradictory, or of a kind that is not supported.</exception>
    public static Tokenizer Load(GgufMetadata metadata) => GgufTokenizer.Load(metadata);
}
