using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Tokenization;

/// <summary>What a name in <c>tokenizer.ggml.pre</c> stands for.</summary>
/// <param name="Steps">From text to the pieces that merge.</param>
/// <param name="WholePieces">A piece that is a token becomes it without merging.</param>
/// <param name="AddsBos">Where the file does not say.</param>
internal sealed record GgufPreTokenizer(IReadOnlyList<EncodingStep> Steps, bool WholePieces = false, bool AddsBos = false)
{
    /// <exception cref="CheckpointException">The name is not known.</exception>
    public static GgufPreTokenizer Read(GgufMetadata metadata, string key)
    {
        string name = metadata.FindString(key) ?? "default";
        return name switch
        {
            "default" => new([
                Split(@"[\p{P}\$\+<=>\^~\|]+"), Split(PreTokenizerPatterns.Gpt2), Split(@"\p{N}+"), Split("[0-9][0-9][0-9]")]),
            "gpt-2" or "gpt2" or "mpt" or "olmo" => new([Split(PreTokenizerPatterns.Gpt2)]),
            "llama-bpe" or "llama3" or "llama-v3" => new([Split(PreTokenizerPatterns.Llama3)], WholePieces: true, AddsBos: true),
            "smaug-bpe" or "dbrx" => new([Split(PreTokenizerPatterns.Llama3)]),
            "qwen2" or "deepseek-r1-qwen" => new([new NfcStep(), Split(PreTokenizerPatterns.Qwen2)]),
            "stablelm2" => new([Split(PreTokenizerPatterns.Qwen2)]),
            "smollm" or "starcoder" or "refact" or "command-r" => new([Split(PreTokenizerPatterns.Digit), Split(PreTokenizerPatterns.Gpt2)]),
            "tekken" => new([Split(PreTokenizerPatterns.Tekken)], WholePieces: true, AddsBos: true),
            _ => throw metadata.Error(key, $"names the pre-tokenizer {CheckpointException.Quote(name)}, which is not supported"),
        };

        SplitStep Split(string pattern) => new(SplitPattern.Parse(metadata.FileName, pattern));
    }
}
