using LlamaServe.Kernels;

namespace LlamaServe.Models.Layers;

/// <summary>The table of token vectors.</summary>
internal sealed class Embedding(IBackend backend, Weight table)
{
    /// <returns>[TokenCount, hidden] one row a token.</returns>
    public Tensor Forward(ForwardBatch batch) => backend.Embed(batch, table);
}
