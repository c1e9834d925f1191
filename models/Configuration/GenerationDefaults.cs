namespace LlamaServe.Models.Configuration;

/// <summary>What a checkpoint says about generating with it. A value that it does not state is null: the server's default holds.</summary>
public sealed record GenerationDefaults
{
    /// <summary>Ids that end a text; inside the vocabulary, without duplicates, may be empty.</summary>
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];

    public int? BosTokenId { get; init; }

    /// <summary>0 is greedy.</summary>
    public float? Temperature { get; init; }

    public int? TopK { get; init; }

    public float? TopP { get; init; }

    public float? MinP { get; init; }

    public float? RepetitionPenalty { get; init; }
}
