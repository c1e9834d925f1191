namespace LlamaServe.Kernels.Cpu;

/// <summary>One lane's memory for choosing a token; pages that no request needs are never touched.</summary>
internal sealed unsafe class SamplingScratch : IDisposable
{
    private readonly AlignedBuffer _logits;
    private readonly AlignedBuffer _counts;
    private readonly AlignedBuffer _candidates;

    public SamplingScratch(int vocabularySize)
    {
        VocabularySize = vocabularySize;
        _logits = new AlignedBuffer((long)vocabularySize * sizeof(float));
        _candidates = new AlignedBuffer((long)vocabularySize * sizeof(ulong));
        _counts = new AlignedBuffer((long)vocabularySize * sizeof(int));
        Counts.Clear();
    }

    public int VocabularySize { get; }

    /// <summary>Edited logits, then weights.</summary>
    public Span<float> Logits => new(_logits.Bytes, VocabularySize);

    /// <summary>All zero between uses.</summary>
    public Span<int> Counts => new(_counts.Bytes, VocabularySize);

    /// <summary>Tokens of one bucket in descending order of weight.</summary>
    public Span<ulong> Candidates => new(_candidates.Bytes, VocabularySize);

    /// <summary>Sum of the weights in each bucket.</summary>
    public double[] BucketMass { get; } = new double[TokenDistribution.Buckets];

    /// <summary>Tokens in each bucket.</summary>
    public int[] BucketCount { get; } = new int[TokenDistribution.Buckets];

    public void Dispose()
    {
        _logits.Dispose();
        _counts.Dispose();
        _candidates.Dispose();
    }
}
