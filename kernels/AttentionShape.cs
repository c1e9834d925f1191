namespace LlamaServe.Kernels;

/// <summary>Heads and mask of an attention layer.</summary>
/// <param name="Heads">Query heads.</param>
/// <param name="KvHeads">Key/value heads; divides <paramref name="Heads"/> (GQA).</param>
/// <param name="HeadDim">Elements of one head.</param>
/// <param name="Scale">Factor on q·k, normally 1/√HeadDim.</param>
/// <param name="SlidingWindow">A token sees itself and the SlidingWindow − 1 tokens before it; 0 for all.</param>
public readonly record struct AttentionShape(int Heads, int KvHeads, int HeadDim, float Scale, int SlidingWindow)
{
    /// <summary>Columns of a fused q|k|v row: (Heads + 2 · KvHeads) · HeadDim.</summary>
    public int QkvColumns => (Heads + 2 * KvHeads) * HeadDim;

    /// <summary>Columns of the attention output: Heads · HeadDim.</summary>
    public int OutputColumns => Heads * HeadDim;

    /// <summary>The first position that the token at <paramref name="position"/> sees.</summary>
    public int FirstVisible(int position) => SlidingWindow > 0 ? Math.Max(0, position - SlidingWindow + 1) : 0;
}
