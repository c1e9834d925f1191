using LlamaServe.Kernels;

namespace LlamaServe.Models.Tests.Decoders;

/// <summary>One sequence on a model, with a paged cache of its own whose blocks lie in reverse order.</summary>
internal sealed class PagedSequence : IDisposable
{
    private const int BlockSize = 8;

    private readonly CausalLm _model;
    private readonly KvCache _cache;
    private readonly ForwardBatch _batch;
    private readonly int[] _blockTable;

    public PagedSequence(CausalLm model, int maxTokens, DType cacheType = DType.F32)
    {
        int blocks = (maxTokens + BlockSize - 1) / BlockSize;
        _model = model;
        _cache = model.Backend.CreateKvCache(model.CacheShape(blocks, BlockSize, cacheType));
        _batch = new ForwardBatch(maxTokens, maxSequences: 1, blocks);
        _blockTable = [.. Enumerable.Range(0, blocks).Reverse()];
        model.Reserve(maxTokens, maxTokens);
    }

    /// <summary>Tokens computed so far.</summary>
    public int Length { get; private set; }

    /// <summary>Appends tokens in one step.</summary>
    /// <returns>[tokens.Length · vocabulary] their logits, row by row.</returns>
    public float[] Append(ReadOnlySpan<int> tokens) => Step(tokens, logitsFrom: 0);

    /// <summary>Appends tokens in one step.</summary>
    /// <returns>[vocabulary] the last one's logits.</returns>
    public float[] AppendForLast(ReadOnlySpan<int> tokens) => Step(tokens, tokens.Length - 1);

    public void Dispose() => _cache.Dispose();

    private unsafe float[] Step(ReadOnlySpan<int> tokens, int logitsFrom)
    {
        _batch.Clear();
        _batch.Add(tokens, Length, _blockTable, BlockSize, logitsFrom);
        Length += tokens.Length;
        Tensor logits = _model.Forward(_batch, _cache);
        Assert.That((logits.Rows, logits.Columns), Is.EqualTo((tokens.Length - logitsFrom, _model.Config.VocabularySize)));
        float[] rows = new float[logits.Rows * logits.Columns];
        for (int row = 0; row < logits.Rows; row++)
        {
            new ReadOnlySpan<float>((float*)logits.Address + (long)row * logits.RowStride, logits.Columns)
                .CopyTo(rows.AsSpan(row * logits.Columns));
        }
        _model.Backend.ResetStep();
        return rows;
    }
}
