using LlamaServe.Kernels;

namespace LlamaServe.Models.Layers;

/// <summary>
/// Grouped-query attention (arXiv:2305.13245) over the paged cache, with rotary positions; q, k and v are one matrix, rows stacked.
/// </summary>
/// <param name="norms">RmsNorm of each head of q and k before rotation; null for none.</param>
internal sealed class Attention(
    IBackend backend, AttentionShape shape, RopeParameters rope, int layer, Linear qkv, Linear output, HeadNorms? norms = null)
{
    /// <returns>[x.Rows, hidden], <paramref name="residual"/> added.</returns>
    public Tensor Forward(Tensor x, Tensor residual, ForwardBatch batch, KvCache cache)
    {
        Tensor rows = qkv.Forward(x);
        backend.RopeAndStoreKv(rows, batch, shape, rope, cache, layer, norms);
        return output.Forward(backend.PagedAttention(rows, batch, shape, cache, layer), residual);
    }
}
