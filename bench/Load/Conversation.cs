namespace LlamaServe.Bench.Load;

/// <summary>One request of a conversation.</summary>
/// <param name="Input">Token ids that are new in this turn; what was said before goes in front of them.</param>
/// <param name="OutputTokens">Tokens of the answer; the server is told to give exactly as many.</param>
internal sealed record Turn(int[] Input, int OutputTokens);

/// <summary>Turns that follow each other, each sent when the one before it is answered. Most workloads have one.</summary>
internal sealed record Conversation(IReadOnlyList<Turn> Turns);

/// <summary>What a client sends.</summary>
/// <param name="Prompt">Token ids of everything said so far.</param>
/// <param name="OutputTokens">Tokens of the answer.</param>
internal readonly record struct LoadRequest(int[] Prompt, int OutputTokens);
