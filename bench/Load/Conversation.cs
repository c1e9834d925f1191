namespace LlamaServe.Bench.Load;

/// <summary>One request of a conversation.</summary>
/// <param name="Input">Token ids that are new in this turn; what was said before goes in front of them.</param>
/// <param name="OutputTokens">Tokens of the answer; the server is told to give exactly as many.</param>
/// <param name="SystemTokens">How many at the beginning of <paramref name="Input"/> are the system prompt, a message of its own in a chat.</param>
internal sealed record Turn(int[] Input, int OutputTokens, int SystemTokens = 0);

/// <summary>Turns that follow each other, each sent when the one before it is answered. Most workloads have one.</summary>
internal sealed record Conversation(IReadOnlyList<Turn> Turns);

/// <summary>What one side of a chat says.</summary>
/// <param name="Role"><c>system</c>, <c>user</c> or <c>assistant</c>.</param>
/// <param name="Ids">What is said, where it was made here.</param>
/// <param name="Text">What is said, where a server has said it; null: <paramref name="Ids"/> hold it.</param>
internal readonly record struct ChatMessage(string Role, int[] Ids, string? Text = null);

/// <summary>What a client sends.</summary>
/// <param name="Prompt">Token ids of everything said so far.</param>
/// <param name="OutputTokens">Tokens of the answer.</param>
/// <param name="Messages">The same as a chat's messages.</param>
internal readonly record struct LoadRequest(int[] Prompt, int OutputTokens, IReadOnlyList<ChatMessage> Messages)
{
    /// <summary>One that only a user has said anything before.</summary>
    public LoadRequest(int[] prompt, int outputTokens)
        : this(prompt, outputTokens, [new ChatMessage("user", prompt)])
    {
    }
}
