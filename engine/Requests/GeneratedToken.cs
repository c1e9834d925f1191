namespace LlamaServe.Engine.Requests;

/// <summary>One alternative and its log-probability.</summary>
public readonly record struct TokenLogProb(int TokenId, float LogProb);

/// <summary>
/// One step's outcome for one sample. The last one of a sample carries its <see cref="Finish"/>; where a sample ends without
/// a new token (cancelled, deadline, held-back text) that one has <see cref="TokenId"/> −1.
/// </summary>
/// <param name="Sample">Index of the sample, 0 to Samples − 1.</param>
/// <param name="TokenId">The chosen id, or −1 for none.</param>
/// <param name="Text">
/// The text that is now certain: whole characters only, and nothing that may still become a stop string; may be empty.
/// </param>
/// <param name="LogProb">Natural logarithm; NaN where not asked for.</param>
/// <param name="Top">Most likely tokens, most likely first; null where not asked for.</param>
/// <param name="Finish">Why the sample ended, with its last token.</param>
public readonly record struct GeneratedToken(
    int Sample,
    int TokenId,
    string Text,
    float LogProb = float.NaN,
    TokenLogProb[]? Top = null,
    SampleFinish? Finish = null);

/// <summary>How a sample ended.</summary>
/// <param name="Reason">Why.</param>
/// <param name="MatchedStop">The stop string that matched, if one did.</param>
/// <param name="MatchedStopId">The end or stop id that was chosen, if one was.</param>
public sealed record SampleFinish(FinishReason Reason, string? MatchedStop = null, int? MatchedStopId = null);
