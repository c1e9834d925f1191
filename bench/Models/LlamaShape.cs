namespace LlamaServe.Bench.Models;

/// <summary>The sizes of a Llama; the defaults are the 1.04-billion-parameter model that bench compares engines on.</summary>
internal sealed record LlamaShape
{
    /// <summary>Width of the residual stream.</summary>
    public int Hidden { get; init; } = 2048;

    /// <summary>Number of decoder layers.</summary>
    public int Layers { get; init; } = 16;

    /// <summary>Query heads.</summary>
    public int Heads { get; init; } = 32;

    /// <summary>Key and value heads; divides <see cref="Heads"/>.</summary>
    public int KvHeads { get; init; } = 8;

    /// <summary>Elements of one head.</summary>
    public int HeadSize { get; init; } = 64;

    /// <summary>Width of the gated feed-forward layer.</summary>
    public int FeedForward { get; init; } = 8192;

    /// <summary>Number of tokens, the 259 special and byte tokens included.</summary>
    public int Vocabulary { get; init; } = 32000;

    /// <summary>Longest context, in tokens, that the metadata announces.</summary>
    public int Context { get; init; } = 2048;

    /// <summary>Whether the embedding serves as output projection too.</summary>
    public bool Tied { get; init; } = true;

    /// <summary>Multiply-adds of all matrices for one token, the output projection left out.</summary>
    public long LayerMultiplyAdds =>
        Layers * ((2L * Heads + 2L * KvHeads) * HeadSize * Hidden + 3L * FeedForward * Hidden);

    /// <summary>Elements of the output projection, which only rows that need logits go through.</summary>
    public long OutputMultiplyAdds => (long)Vocabulary * Hidden;

    /// <exception cref="ArgumentException">Sizes that make no model.</exception>
    public void Validate()
    {
        int[] sizes = [Hidden, Layers, Heads, KvHeads, HeadSize, FeedForward, Context];
        if (sizes.Any(size => size <= 0))
        {
            throw new ArgumentException("Every size of the model must be positive.");
        }

        if (Heads % KvHeads != 0)
        {
            throw new ArgumentException($"{Heads} query heads do not divide among {KvHeads} key and value heads.");
        }

        if (HeadSize % 2 != 0)
        {
            throw new ArgumentException($"Rotary embedding needs an even head size, not {HeadSize}.");
        }

        if (Vocabulary < FillerVocabulary.FirstFiller)
        {
            throw new ArgumentException(
                $"The vocabulary needs {FillerVocabulary.FirstFiller} special and byte tokens, so {Vocabulary} are too few.");
        }
    }
}
