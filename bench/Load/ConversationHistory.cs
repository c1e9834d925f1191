using LlamaServe.Models.Tokenization;

namespace LlamaServe.Bench.Load;

/// <summary>What was said in a conversation, as one prompt and as a chat's messages.</summary>
/// <param name="tokenizer">Encodes answers that come as text only; null where ids come or turns are single.</param>
internal sealed class ConversationHistory(Tokenizer? tokenizer)
{
    private readonly List<int> _prompt = [];
    private readonly List<ChatMessage> _messages = [];

    /// <returns>The request that asks for the turn's answer.</returns>
    public LoadRequest Ask(Turn turn)
    {
        _prompt.AddRange(turn.Input);
        if (turn.SystemTokens > 0)
        {
            _messages.Add(new ChatMessage("system", turn.Input[..turn.SystemTokens]));
        }

        _messages.Add(new ChatMessage("user", turn.Input[turn.SystemTokens..]));
        return new LoadRequest([.. _prompt], turn.OutputTokens, [.. _messages]);
    }

    /// <summary>Adds what the server has answered.</summary>
    public void AddAnswer(RequestRecord record)
    {
        if (record.Answer.Count > 0)
        {
            _prompt.AddRange(record.Answer);
        }
        else if (tokenizer is not null)
        {
            _prompt.AddRange(tokenizer.Encode(record.Text, addSpecialTokens: false));
        }

        _messages.Add(new ChatMessage("assistant", [.. record.Answer], record.Text));
    }
}
