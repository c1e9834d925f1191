using System.Threading.Channels;

namespace LlamaServe.Engine.Requests;

/// <summary>What is known of the prompt once it is computed.</summary>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="CachedTokens">How many of them came from the prefix cache.</param>
/// <param name="LogProbs">
/// One entry a prompt token, where asked for: its log-probability (NaN for the first) and the most likely alternatives.
/// </param>
public sealed record PromptInfo(int PromptTokens, int CachedTokens, IReadOnlyList<PromptTokenLogProb>? LogProbs);

/// <summary>Log-probability of one prompt token.</summary>
public sealed record PromptTokenLogProb(int TokenId, float LogProb, TokenLogProb[] Top);

/// <summary>The end of a request.</summary>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="CachedTokens">How many of them came from the prefix cache.</param>
/// <param name="CompletionTokens">New tokens of all samples.</param>
/// <param name="Timings">Where the time went.</param>
/// <param name="Error">Why the request failed, where it did: one sentence without internals.</param>
public sealed record GenerationSummary(
    int PromptTokens, int CachedTokens, int CompletionTokens, GenerationTimings Timings, string? Error = null);

/// <summary>Where a request's time went.</summary>
/// <param name="Queue">From submission to the first step that computed any of its tokens.</param>
/// <param name="Prefill">From that step's start to the first new token.</param>
/// <param name="TimeToFirstToken">From submission to the first new token.</param>
/// <param name="Decode">From the first new token to the last.</param>
/// <param name="Preemptions">How often it lost its blocks and had to recompute.</param>
public sealed record GenerationTimings(
    TimeSpan Queue, TimeSpan Prefill, TimeSpan TimeToFirstToken, TimeSpan Decode, int Preemptions);

/// <summary>A request in flight. Dispose (or cancel the token given to Submit) ends it at the next step.</summary>
public sealed class Generation : IDisposable
{
    private readonly ActiveRequest _request;
    private volatile PromptInfo? _prompt;
    private volatile GenerationSummary? _summary;

    internal Generation(ActiveRequest request)
    {
        _request = request;
    }

    /// <summary>The request's id.</summary>
    public string RequestId => _request.Id;

    /// <summary>The seed in use: the request's own or the one drawn for it.</summary>
    public ulong Seed => _request.Seed;

    /// <summary>
    /// Tokens of all samples as they come; completes after the last sample's finish. Bounded: a reader that stays away is
    /// ended with <see cref="FinishReason.SlowReader"/>.
    /// </summary>
    public ChannelReader<GeneratedToken> Tokens => _request.Output;

    /// <summary>Set before the first token can be read; null until then.</summary>
    public PromptInfo? Prompt
    {
        get => _prompt;
        internal set => _prompt = value;
    }

    /// <summary>Set before <see cref="Tokens"/> completes; null until then.</summary>
    public GenerationSummary? Summary
    {
        get => _summary;
        internal set => _summary = value;
    }

    /// <inheritdoc/>
    public void Dispose() => _request.Cancel();
}
