using LlamaServe.Models.Tokenization;

namespace LlamaServe.Engine.Text;

/// <summary>Text by the model's tokenizer; special tokens have none, and a leading space belongs to what follows the prompt.</summary>
internal sealed class TokenTextDecoder(Tokenizer tokenizer) : ITextDecoder
{
    private readonly IncrementalDetokenizer _detokenizer = new(tokenizer, continuesText: true);

    public string Append(int tokenId) => _detokenizer.Append(tokenId);

    public string Flush() => _detokenizer.Flush();
}
