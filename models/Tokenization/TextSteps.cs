namespace LlamaServe.Models.Tokenization;

/// <summary>Brings the text into Unicode normalization form C.</summary>
internal sealed class NfcStep : EncodingStep
{
    public override void Encode(ReadOnlySpan<char> text, bool atStart, bool parseSpecialTokens, List<int> ids)
    {
        if (UnicodeNfc.IsCertainlyNormalized(text))
        {
            Next.Encode(text, atStart, parseSpecialTokens, ids);
        }
        else
        {
            Next.Encode(UnicodeNfc.Normalize(text), atStart, parseSpecialTokens, ids);
        }
    }
}

/// <summary>Replaces every occurrence of one text by another.</summary>
internal sealed class ReplaceStep(string pattern, string replacement) : EncodingStep
{
    public override void Encode(ReadOnlySpan<char> text, bool atStart, bool parseSpecialTokens, List<int> ids) =>
        Next.Encode(text.ToString().Replace(pattern, replacement, StringComparison.Ordinal), atStart, parseSpecialTokens, ids);
}

/// <summary>Puts a prefix before the text, always or only where it does not begin with it already.</summary>
/// <param name="onlyAtStart">Only before the first piece of the caller's text, not after an added token.</param>
internal sealed class PrependStep(string prefix, bool unlessPresent, bool onlyAtStart) : EncodingStep
{
    public override void Encode(ReadOnlySpan<char> text, bool atStart, bool parseSpecialTokens, List<int> ids)
    {
        if ((onlyAtStart && !atStart) || (unlessPresent && text.StartsWith(prefix, StringComparison.Ordinal)))
        {
            Next.Encode(text, atStart, parseSpecialTokens, ids);
        }
        else
        {
            Next.Encode(string.Concat(prefix, text), atStart, parseSpecialTokens, ids);
        }
    }
}

/// <summary>Drops spaces at both ends and all but one of each run, as SentencePiece's <c>remove_extra_whitespaces</c> does.</summary>
internal sealed class CollapseSpacesStep : EncodingStep
{
    public override void Encode(ReadOnlySpan<char> text, bool atStart, bool parseSpecialTokens, List<int> ids)
    {
        string collapsed = string.Join(' ', text.ToString().Split(' ', StringSplitOptions.RemoveEmptyEntries));
        if (collapsed.Length > 0)
        {
            Next.Encode(collapsed, atStart, parseSpecialTokens, ids);
        }
    }
}
