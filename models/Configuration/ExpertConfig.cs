namespace LlamaServe.Models.Configuration;

/// <summary>The mixtures of experts of a model's sparse layers.</summary>
/// <param name="Count">Experts of a layer.</param>
/// <param name="PerToken">Experts that a token goes to.</param>
/// <param name="IntermediateSize">Elements of an expert's MLP between its projections.</param>
/// <param name="NormalizesWeights">Whether the weights of a token's experts sum to one.</param>
/// <param name="SparseLayers">[Layers] whether a layer has experts in place of one MLP.</param>
public sealed record ExpertConfig(int Count, int PerToken, int IntermediateSize, bool NormalizesWeights, IReadOnlyList<bool> SparseLayers);
