namespace LlamaServe.Engine.Requests;

/// <summary>A request as the engine takes it: token ids in, immutable. The request validator says what is legal.</summary>
public sealed record GenerationRequest
{
    /// <summary>Unique among the requests in flight; empty lets the engine make one.</summary>
    public string RequestId { get; init; } = "";

    /// <summary>At least one vocabulary id.</summary>
    public required ReadOnlyMemory<int> PromptTokenIds { get; init; }

    public SamplingParameters Sampling { get; init; } = new();

    /// <summary>Samples to draw; they share their prompt's blocks. Sample i draws with seed + i.</summary>
    public int Samples { get; init; } = 1;

    /// <summary>Most new tokens a sample; null for as many as the context holds.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>End ids and stop strings do not end a sample before this many new tokens.</summary>
    public int MinTokens { get; init; }

    /// <summary>Generation ends where one appears in the output's text.</summary>
    public IReadOnlyList<string> StopStrings { get; init; } = [];

    /// <summary>Ids that end generation, beside the model's own end ids.</summary>
    public IReadOnlyList<int> StopTokenIds { get; init; } = [];

    /// <summary>Do not end at the model's own end ids.</summary>
    public bool IgnoreEos { get; init; }

    /// <summary>Leave the matched stop string or the text of the stop id in the output's text.</summary>
    public bool IncludeStop { get; init; }

    /// <summary>Whether the output's text is wanted; without it tokens carry ids only.</summary>
    public bool ReturnText { get; init; } = true;

    /// <summary>null for none; else the chosen token's log-probability and those of this many most likely tokens (0 to 20).</summary>
    public int? LogProbs { get; init; }

    /// <summary>The same for the prompt's tokens, from the second on.</summary>
    public int? PromptLogProbs { get; init; }

    /// <summary>Whose request this is: unit of fairness and of prefix sharing.</summary>
    public string Tenant { get; init; } = "";

    /// <summary>Requests share cached prefixes only with the same tenant and the same salt.</summary>
    public string CacheSalt { get; init; } = "";

    /// <summary>Higher runs first; −100 to 100.</summary>
    public int Priority { get; init; }

    /// <summary>The request ends with <see cref="FinishReason.DeadlineExceeded"/> at the step boundary after this instant.</summary>
    public DateTimeOffset? Deadline { get; init; }
}
