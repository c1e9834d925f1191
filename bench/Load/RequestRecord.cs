using System.Diagnostics;

namespace LlamaServe.Bench.Load;

/// <summary>One request as its client saw it. Times are <see cref="Stopwatch"/>'s ticks.</summary>
/// <param name="promptTokens">Tokens that were sent.</param>
internal sealed class RequestRecord(int promptTokens)
{
    private long _last;

    public int PromptTokens { get; } = promptTokens;

    /// <summary>Which of the conversations sent it.</summary>
    public int Conversation { get; init; }

    public int OutputTokens { get; private set; }

    /// <summary>When it was to be sent.</summary>
    public long Due { get; set; }

    public long Sent { get; private set; }

    public long First { get; private set; }

    public long Ended { get; private set; }

    /// <summary>Seconds between the answer's pieces, as they arrived.</summary>
    public List<double> Gaps { get; } = [];

    /// <summary>Why it failed; null where it did not.</summary>
    public string? Error { get; private set; }

    /// <summary>The answer's ids, where the server tells them.</summary>
    public List<int> Answer { get; } = [];

    /// <summary>The answer's text.</summary>
    public string Text { get; set; } = "";

    public bool IsComplete => Error is null && First != 0;

    /// <summary>Seconds by which it was sent too late: the generator's own fault.</summary>
    public double SendLag => Math.Max(0, (Sent - Due) / (double)Stopwatch.Frequency);

    /// <summary>Seconds from sending to the first piece.</summary>
    public double TimeToFirstToken => Stopwatch.GetElapsedTime(Sent, First).TotalSeconds;

    /// <summary>Seconds from sending to the last piece.</summary>
    public double Latency => Stopwatch.GetElapsedTime(Sent, _last).TotalSeconds;

    /// <summary>Mean seconds of a token after the first.</summary>
    public double TimePerToken => OutputTokens > 1 ? (Latency - TimeToFirstToken) / (OutputTokens - 1) : 0;

    public void MarkSent() => Sent = Stopwatch.GetTimestamp();

    /// <summary>Notes a piece of the answer.</summary>
    /// <param name="tokens">Its tokens; 0 where the server tells them at the end only.</param>
    public void MarkPiece(int tokens)
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

        _last = now;
        OutputTokens += tokens;
    }

    /// <param name="outputTokens">What the server counted; null where every piece has told its own.</param>
    public void MarkEnded(int? outputTokens)
    {
        Ended = Stopwatch.GetTimestamp();
        OutputTokens = outputTokens ?? OutputTokens;
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
