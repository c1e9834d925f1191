using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Simulation;

/// <summary>A line of a trace, with the names that Mooncake's published traces use.</summary>
/// <param name="Timestamp">In the file's unit of time.</param>
/// <param name="InputLength">Tokens of the prompt.</param>
/// <param name="OutputLength">Tokens of the answer.</param>
/// <param name="HashIds">One for each block of the prompt from its beginning; where two requests have the same, they share that block.</param>
internal sealed record TracedRequest(double Timestamp, int InputLength, int OutputLength, long[]? HashIds = null)
{
    /// <summary>Above these are ids of tokens that no other request has, so that no block of <see cref="HashIds"/> has them.</summary>
    public const int Vocabulary = 32000;

    /// <summary>Why it cannot be replayed; null where it can.</summary>
    /// <param name="blockTokens">Tokens for which a hash id stands.</param>
    public string? Fault(int blockTokens) => this switch
    {
        { InputLength: < 1 } or { OutputLength: < 1 } => "input_length and output_length are at least 1",
        _ when !double.IsFinite(Timestamp) => "timestamp is no number",
        _ when (long)((HashIds?.Length ?? 0) - 1) * blockTokens >= InputLength =>
            $"{HashIds!.Length} hash_ids are too many for {InputLength} tokens in blocks of {blockTokens}; --trace-block sets their size",
        _ => null,
    };

    /// <param name="blockTokens">Tokens for which a hash id stands.</param>
    /// <param name="ids">Of tokens without a hash id.</param>
    public Conversation ToConversation(int blockTokens, TokenSource ids)
    {
        int[] prompt = new int[InputLength];
        int filled = 0;
        foreach (long id in HashIds ?? [])
        {
            int count = Math.Min(blockTokens, InputLength - filled);
            // A block is drawn from its id alone: who has the same id has the same tokens.
            new TokenSource(0, Vocabulary, unchecked((int)(id ^ (id >> 32)))).Draw(count).CopyTo(prompt, filled);
            filled += count;
        }

        ids.Draw(InputLength - filled).CopyTo(prompt, filled);
        return new Conversation([new Turn(prompt, OutputLength)]);
    }
}
