using LlamaServe.Engine.KvCache;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Text;
using LlamaServe.Kernels;

namespace LlamaServe.Engine.Requests;

/// <summary>A request that was taken. Made by the submitting thread; its changing state belongs to the loop's.</summary>
internal sealed class ActiveRequest
{
    private readonly Action<EngineCommand> _post;
    private readonly SamplingRow _row;
    private int _isCancelled;

    /// <param name="request">Validated.</param>
    /// <param name="terms">What the engine decided about it.</param>
    /// <param name="post">Sends a command to the loop.</param>
    public ActiveRequest(GenerationRequest request, RequestTerms terms, Action<EngineCommand> post)
    {
        _post = post;
        Request = request;
        Terms = terms;
        EndIds = [.. request.StopTokenIds, .. request.IgnoreEos ? [] : terms.EndTokenIds];
        _row = RowTemplate(request);
        Samples = new Sample[request.Samples];
        for (int i = 0; i < Samples.Length; i++)
        {
            Samples[i] = new Sample(this, terms.SequenceSpec(request, i));
        }
        Live = Samples.Length;
        Stops = request.StopStrings.Count > 0 ? new StopStrings(request.StopStrings) : null;
        Output = new TokenOutput(terms.TokenBuffer, Samples.Length, () => _post(new EngineCommand(EngineCommandKind.Resume, this)));
        Handle = new Generation(this);
    }

    public GenerationRequest Request { get; }

    public RequestTerms Terms { get; }

    public string Id => Terms.Id;

    public ulong Seed => Terms.Seed;

    /// <summary>Ids that end a sample.</summary>
    public int[] EndIds { get; }

    public StopStrings? Stops { get; }

    public Sample[] Samples { get; }

    public TokenOutput Output { get; }

    public Generation Handle { get; }

    public RequestClock Clock { get; } = new();

    /// <summary>Whether text has to be made, for the caller or for its stop strings.</summary>
    public bool NeedsText => Request.ReturnText || Stops is not null;

    /// <summary>Samples that have not finished.</summary>
    public int Live { get; set; }

    /// <summary>Whether the samples after the first have their own sequences in the scheduler.</summary>
    public bool IsForked { get; set; }

    public int CompletionTokens { get; set; }

    /// <summary>Steps with it that hung.</summary>
    public int Faults { get; set; }

    public string? Error { get; set; }

    public List<PromptTokenLogProb>? PromptLogProbs { get; set; }

    /// <summary>Ends the caller's subscription to its cancellation token.</summary>
    public CancellationTokenRegistration Cancellation { get; set; }

    public bool IsCancelled => Volatile.Read(ref _isCancelled) != 0;

    /// <summary>Asks the loop to end it; may be called by any thread, any number of times.</summary>
    public void Cancel()
    {
        if (Interlocked.Exchange(ref _isCancelled, 1) == 0)
        {
            _post(new EngineCommand(EngineCommandKind.Cancel, this));
        }
    }

    /// <summary>The row that chooses a sample's next token.</summary>
    public void FillSamplingRow(Sequence sequence, out SamplingRow row)
    {
        row = _row;
        int index = sequence.OutputCount;
        row.Seed = Seed + (ulong)sequence.Spec.Sample;
        row.Counter = (ulong)index;
        row.Tokens = sequence.TokenMemory;
        row.BannedIds = index < Request.MinTokens ? EndIds : [];
    }

    /// <summary>The row that scores a prompt token.</summary>
    public void FillScoringRow(Sequence sequence, int target, out SamplingRow row)
    {
        row = new SamplingRow
        {
            TopP = 1,
            RepetitionPenalty = 1,
            Tokens = sequence.TokenMemory,
            PromptLength = sequence.PromptLength,
            TargetId = target,
            LogProb = true,
            TopLogProbs = Request.PromptLogProbs ?? 0,
        };
    }

    private static SamplingRow RowTemplate(GenerationRequest request)
    {
        SamplingParameters sampling = request.Sampling;
        return new SamplingRow
        {
            Temperature = sampling.Temperature,
            TopK = sampling.TopK,
            TopP = sampling.TopP,
            MinP = sampling.MinP,
            RepetitionPenalty = sampling.RepetitionPenalty,
            PresencePenalty = sampling.PresencePenalty,
            FrequencyPenalty = sampling.FrequencyPenalty,
            PromptLength = request.PromptTokenIds.Length,
            BiasIds = sampling.LogitBias?.Keys.ToArray() ?? [],
            BiasValues = sampling.LogitBias?.Values.ToArray() ?? [],
            TargetId = -1,
            LogProb = request.LogProbs is not null,
            TopLogProbs = request.LogProbs ?? 0,
        };
    }
}

/// <summary>What the engine decided about a request on admission.</summary>
/// <param name="MaxTokens">New tokens of a sample.</param>
/// <param name="Arrival">Order of arrival.</param>
/// <param name="Root">Start of its hash chain.</param>
internal sealed record RequestTerms(
    string Id, ulong Seed, int MaxTokens, long Arrival, BlockHash Root, RequestCost Cost, int TokenBuffer, IReadOnlyList<int> EndTokenIds)
{
    public SequenceSpec SequenceSpec(GenerationRequest request, int sample) => new(
        request.PromptTokenIds,
        request.PromptTokenIds.Length + MaxTokens,
        sample,
        request.Priority,
        Arrival,
        request.Tenant,
        Root,
        ScorePrompt: sample == 0 && request.PromptLogProbs is not null);
}

/// <summary>When things happened to a request, in the engine's clock; 0 for not yet.</summary>
internal sealed class RequestClock
{
    public long Submitted { get; set; }

    public long FirstScheduled { get; set; }

    public long FirstToken { get; set; }

    public long LastToken { get; set; }

    /// <summary>0 for none.</summary>
    public long Deadline { get; set; }

    /// <summary>When its reader was found behind; 0 when it is not.</summary>
    public long PausedSince { get; set; }

    /// <summary>The timings of a request that ends at <paramref name="now"/>.</summary>
    public GenerationTimings Timings(TimeProvider time, int preemptions, long now) => new(
        Between(time, Submitted, FirstScheduled == 0 ? now : FirstScheduled),
        Between(time, FirstScheduled, FirstToken),
        Between(time, Submitted, FirstToken),
        Between(time, FirstToken, LastToken),
        preemptions);

    private static TimeSpan Between(TimeProvider time, long from, long to) =>
        to == 0 ? TimeSpan.Zero : time.GetElapsedTime(from, to);
}
