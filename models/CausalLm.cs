using LlamaServe.Kernels;
using LlamaServe.Models.Configuration;

namespace LlamaServe.Models;

/// <summary>A decoder with its weights on one backend. Used by one thread at a time.</summary>
/// <param name="backend">Not owned.</param>
/// <param name="weights">Everything loaded for the model, owned from here on.</param>
public abstract class CausalLm(ModelConfig config, IBackend backend, IReadOnlyList<Weight> weights) : IDisposable
{
    public ModelConfig Config { get; } = config;

    public IBackend Backend { get; } = backend;

    /// <summary>Bytes that the backend holds for the weights.</summary>
    public long WeightBytes => weights.Sum(weight => weight.ByteLength);

    /// <summary>
    /// One step: stores the batch's keys and values and computes the rows whose logits are wanted. Allocates nothing;
    /// the result lives until <see cref="IBackend.ResetStep"/>, which the caller calls between steps.
    /// </summary>
    /// <returns>[batch.LogitsCount, vocabulary]; no rows when none is wanted.</returns>
    public abstract Tensor Forward(ForwardBatch batch, KvCache cache);

    /// <summary>The shape of a KV cache for this model.</summary>
    /// <param name="blocks">Physical blocks.</param>
    /// <param name="blockSize">Tokens of a block.</param>
    /// <param name="type">Element type of keys and values.</param>
    public KvCacheShape CacheShape(int blocks, int blockSize, DType type) =>
        new(Config.Layers, blocks, blockSize, Config.KvHeads, Config.HeadDim, type);

    /// <summary>Prepares the backend for steps of up to this size.</summary>
    /// <param name="maxTokens">Most tokens of a step.</param>
    /// <param name="maxLogitsRows">Most rows of logits of a step.</param>
    public void Reserve(int maxTokens, int maxLogitsRows) =>
        Backend.Reserve(maxTokens, Config.WidestActivation, maxLogitsRows, Config.VocabularySize);

    /// <summary>Frees the weights.</summary>
    public void Dispose()
    {
        foreach (Weight weight in weights)
        {
            weight.Dispose();
        }
        GC.SuppressFinalize(this);
    }
}
