using System.Diagnostics;
using System.Text;

namespace LlamaServe.Bench.Load;

/// <summary>One request as its client saw it. Times are <see cref="Stopwatch"/>'s ticks.</summary>
/// <param name="promptTokens">Tokens that were sent.</param>
internal sealed class RequestRecord(int promptTokens)
{
    private readonly StringBuilder _text = new();
    private long _last;
    private long _firstText;

    /// <summary>Tokens of the prompt: what the server counted, where it says so, else what was sent.</summary>
    public int PromptTokens { get; private set; } = promptTokens;

    /// <summary>How many of them the server found computed; null where it does not say.</summary>
    public int? CachedTokens { get; private set; }

    /// <summary>Which of the conversations sent it.</summary>
    public int Conversation { get; init; }

    /// <summary>Tokens that the answer was to have; null: any number.</summary>
    public int? AskedTokens { get; init; }

    public int OutputTokens { get; private set; }

    /// <summary>The server told no number of tokens: <see cref="OutputTokens"/> was counted from the text.</summary>
    public bool IsEstimated { get; private set; }

    /// <summary>When it was to be sent.</summary>
    public long Due { get; set; }

    public long Sent { get; private set; }

    public long First { get; private set; }

    public long Ended { get; private set; }

    /// <summary>Seconds between the answer's pieces, as they arrived.</summary>
    public List<double> Gaps { get; } = [];

    /// <summary>Pieces that had neither text nor ids, such as the one that tells the role.</summary>
    public int EmptyPieces { get; private set; }

    /// <summary>Why it failed; null where it did not.</summary>
    public string? Error { get; private set; }

    /// <summary>The answer's ids, where the server tells them.</summary>
    public List<int> Answer { get; } = [];

    /// <summary>The answer's text.</summary>
    public string Text => _text.ToString();

    public bool IsComplete => Error is null && First != 0;

    /// <summary>The answer's length is told and is not the one asked for: it ended early, or its server takes no <c>ignore_eos</c>.</summary>
    public bool HasWrongLength => IsComplete && !IsEstimated && AskedTokens is { } asked && asked != OutputTokens;

    /// <summary>Seconds by which it was sent too late: the generator's own fault.</summary>
    public double SendLag => Math.Max(0, (Sent - Due) / (double)Stopwatch.Frequency);

    /// <summary>Seconds from sending to the first piece, empty or not, as <c>vllm bench serve</c> counts.</summary>
    public double TimeToFirstToken => Stopwatch.GetElapsedTime(Sent, First).TotalSeconds;

    /// <summary>Seconds from sending to the first piece with text or ids; to the first one of all where none has any.</summary>
    public double TimeToFirstText => _firstText == 0 ? TimeToFirstToken : Stopwatch.GetElapsedTime(Sent, _firstText).TotalSeconds;

    /// <summary>Seconds from sending to the last piece.</summary>
    public double Latency => Stopwatch.GetElapsedTime(Sent, _last).TotalSeconds;

    /// <summary>Mean seconds of a token after the first.</summary>
    public double TimePerToken => OutputTokens > 1 ? (Latency - TimeToFirstToken) / (OutputTokens - 1) : 0;

    public void MarkSent() => Sent = Stopwatch.GetTimestamp();

    /// <summary>Notes a piece of the answer.</summary>
    /// <param name="tokens">Its tokens; 0 where the server tells them at the end only.</param>
    /// <param name="text">Its text; empty where it has none.</param>
    public void MarkPiece(int tokens, string text = "")
    {
        long now = Stopwatch.GetTimestamp();
        if (First == 0)
        {
            First = now;
        }
        else
        {
            Gaps.Add(Stopwatch.GetElapsedTime(_last, now).TotalSeconds);
        }

        if (tokens == 0 && text.Length == 0)
        {
            EmptyPieces++;
        }
        else if (_firstText == 0)
        {
            _firstText = now;
        }

        _last = now;
        OutputTokens += tokens;
        _text.Append(text);
    }

    /// <summary>Notes text that came without a new token.</summary>
    public void AddText(string text) => _text.Append(text);

    /// <summary>Notes what the server says of the prompt.</summary>
    /// <param name="tokens">Its length; null: not told.</param>
    /// <param name="cached">How much of it was found computed; null: not told.</param>
    public void MarkPrompt(int? tokens, int? cached)
    {
        PromptTokens = tokens ?? PromptTokens;
        CachedTokens = cached ?? CachedTokens;
    }

    /// <param name="outputTokens">Of the whole answer; null where every piece has told its own.</param>
    /// <param name="isEstimated">Whether the server has not told them.</param>
    public void MarkEnded(int? outputTokens, bool isEstimated = false)
    {
        Ended = Stopwatch.GetTimestamp();
        OutputTokens = outputTokens ?? OutputTokens;
        IsEstimated = isEstimated;
        if (First == 0)
        {
            Error ??= "the answer was empty";
        }
    }

    public void MarkFailed(string error)
    {
        Ended = Stopwatch.GetTimestamp();
        Error = error;
    }
}
