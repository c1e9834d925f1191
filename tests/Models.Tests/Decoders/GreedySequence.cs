using LlamaServe.Kernels;

namespace LlamaServe.Models.Tests.Decoders;

/// <summary>A sequence of which each step tells the most likely next tokens, through the backend's sampler.</summary>
internal sealed class GreedySequence : IDisposable
{
    private const int BlockSize = 16;

    private readonly CausalLm _model;
    private readonly KvCache _cache;
    private readonly ForwardBatch _batch;
    private readonly SamplingBatch _sampling = new(1);
    private readonly int[] _blockTable;
    private int _length;

    public GreedySequence(CausalLm model, int maxTokens, DType cacheType = DType.BF16)
    {
        int blocks = (maxTokens + BlockSize - 1) / BlockSize;
        _model = model;
        _cache = model.Backend.CreateKvCache(model.CacheShape(blocks, BlockSize, cacheType));
        _batch = new ForwardBatch(maxTokens, maxSequences: 1, blocks);
        _blockTable = [.. Enumerable.Range(0, blocks).Reverse()];
        model.Reserve(maxTokens, 1);
    }

    /// <returns>The five most likely next tokens and their log-probabilities.</returns>
    public (int[] Ids, float[] LogProbs) Append(ReadOnlySpan<int> tokens)
    {
        const int Tops = 5;
        _model.Backend.ResetStep();
        _batch.Clear();
        _batch.Add(tokens, _length, _blockTable, BlockSize, tokens.Length - 1);
        _length += tokens.Length;
        Tensor logits = _model.Forward(_batch, _cache);
        _sampling.Clear();
        _sampling.Add(new SamplingRow { TopP = 1, RepetitionPenalty = 1, TargetId = -1, TopLogProbs = Tops });
        _model.Backend.Sample(logits, _sampling);
        return (_sampling.TopIds(0)[..Tops].ToArray(), _sampling.TopLogProbs(0)[..Tops].ToArray());
    }

    public void Dispose() => _cache.Dispose();
}
