namespace LlamaServe.Models.Tokenization;

/// <summary>
/// One stage on the way from text to token ids: finding added tokens, normalizing, splitting, merging. Stages form a
/// chain; each hands what it made of the text to the next. They hold no state of a call, so any thread may use them.
/// </summary>
internal abstract class EncodingStep
{
    private EncodingStep? _next;

    protected EncodingStep Next => _next!;

    /// <param name="atStart">Nothing of the caller's text lies before <paramref name="text"/>.</param>
    /// <param name="parseSpecialTokens">Special tokens written out in the text become their ids.</param>
    /// <param name="ids">Takes the ids at its end.</param>
    public abstract void Encode(ReadOnlySpan<char> text, bool atStart, bool parseSpecialTokens, List<int> ids);

    /// <summary>Makes a chain of the steps and returns its first.</summary>
    public static EncodingStep Chain(IReadOnlyList<EncodingStep> steps)
    {
        for (int i = 0; i + 1 < steps.Count; i++)
        {
            steps[i]._next = steps[i + 1];
        }
        return steps[0];
    }
}
