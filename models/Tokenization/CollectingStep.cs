using System.Text;

namespace LlamaServe.Models.Tokenization;

/// <summary>Ends a chain of normalizing steps by collecting the text that comes out.</summary>
internal sealed class CollectingStep : EncodingStep
{
    private readonly StringBuilder _text = new();

    public override void Encode(ReadOnlySpan<char> text, bool atStart, bool parseSpecialTokens, List<int> ids) => _text.Append(text);

    /// <summary>What the steps make of a text. Chains them: to be used before their own chain is made.</summary>
    public static string Run(IReadOnlyList<EncodingStep> steps, string text)
    {
        CollectingStep end = new();
        Chain([.. steps, end]).Encode(text, atStart: true, parseSpecialTokens: false, []);
        return end._text.ToString();
    }
}
