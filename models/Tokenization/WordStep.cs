namespace LlamaServe.Models.Tokenization;

/// <summary>
/// Cuts text before each run of space marks, so that words are merged, and remembered, one by one instead of the whole
/// text at once. Changes no id where no token has a space mark after another character: then no merge joins two words.
/// </summary>
internal sealed class WordStep : EncodingStep
{
    private const char SpaceMark = '▁';

    /// <summary>Whether merging words apart gives the same ids as merging the whole text.</summary>
    public static bool IsExact(Vocabulary vocabulary) =>
        vocabulary.FindOrdinary([SpaceMark]) >= 0 && !vocabulary.Texts.Any(token => NextWord(token, 1) < token.Length);

    public override void Encode(ReadOnlySpan<char> text, bool atStart, bool parseSpecialTokens, List<int> ids)
    {
        for (int begin = 0; begin < text.Length;)
        {
            int end = NextWord(text, begin + 1);
            Next.Encode(text[begin..end], atStart && begin == 0, parseSpecialTokens, ids);
            begin = end;
        }
    }

    /// <returns>The first mark at or after <paramref name="from"/> that follows another character, or the end.</returns>
    private static int NextWord(ReadOnlySpan<char> text, int from)
    {
        for (int at = from; at < text.Length; at++)
        {
            int skip = text[at..].IndexOf(SpaceMark);
            if (skip < 0)
            {
                break;
            }
            at += skip;
            if (text[at - 1] != SpaceMark)
            {
                return at;
            }
        }
        return text.Length;
    }
}
