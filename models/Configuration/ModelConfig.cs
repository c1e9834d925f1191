using LlamaServe.Kernels;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Configuration;

/// <summary>What a decoder of the Llama kind looks like, whatever file said so. Validated: every value is in range and they fit each other.</summary>
public sealed record ModelConfig
{
    public required Architecture Architecture { get; init; }

    /// <summary>Elements of a token's hidden row.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Elements of the gated MLP between its projections.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Decoder layers.</summary>
    public required int Layers { get; init; }

    /// <summary>Query heads.</summary>
    public required int Heads { get; init; }

    /// <summary>Key/value heads; divides <see cref="Heads"/>.</summary>
    public required int KvHeads { get; init; }

    /// <summary>Elements of one head; even.</summary>
    public required int HeadDim { get; init; }

    /// <summary>Ids of the vocabulary: rows of the embedding table.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Most tokens of a sequence, prompt and output together.</summary>
    public required int ContextLength { get; init; }

    public required float RmsNormEpsilon { get; init; }

    public required RopeParameters Rope { get; init; }

    /// <summary>[Layers] a token sees itself and the window − 1 tokens before it; 0 for all.</summary>
    public required IReadOnlyList<int> SlidingWindows { get; init; }

    /// <summary>The output projection is the embedding table.</summary>
    public required bool TiedEmbeddings { get; init; }

    /// <summary>Null where every layer has one MLP.</summary>
    public ExpertConfig? Experts { get; init; }

    /// <summary>Elements a token of the widest activation of a step, logits aside.</summary>
    public int WidestActivation => Math.Max(
        Math.Max(Math.Max(HiddenSize, 2 * IntermediateSize), (Heads + 2 * KvHeads) * HeadDim),
        Experts is null ? 0 : checked(Experts.PerToken * Math.Max(HiddenSize, 2 * Experts.IntermediateSize)));

    /// <summary>Whether layer <paramref name="layer"/> is a mixture of experts.</summary>
    public bool IsSparse(int layer) => Experts is not null && Experts.SparseLayers[layer];

    /// <summary>Heads and mask of layer <paramref name="layer"/>.</summary>
    public AttentionShape AttentionShape(int layer) =>
        new(Heads, KvHeads, HeadDim, 1 / MathF.Sqrt(HeadDim), SlidingWindows[layer]);

    /// <summary>This configuration, after a look at whether its values fit each other.</summary>
    /// <exception cref="CheckpointException">They do not.</exception>
    internal ModelConfig Checked(string fileName)
    {
        string? problem = Heads % KvHeads != 0 ? $"{Heads} attention heads are not a multiple of {KvHeads} key/value heads"
            : HeadDim < 2 || HeadDim % 2 != 0 ? $"heads of {HeadDim} elements cannot be rotated in pairs"
            : Experts is not null && Experts.PerToken > Experts.Count ? $"a token cannot go to {Experts.PerToken} of {Experts.Count} experts"
            : null;
        return problem is null ? this : throw new CheckpointException(fileName, problem);
    }
}
