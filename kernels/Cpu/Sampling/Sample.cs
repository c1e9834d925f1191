namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// Chooses a token for each row: bias, bans and penalties; then greedily, or from the temperature-scaled distribution cut by
/// min-p, top-k and top-p in that order (top-p of what the first two leave), by one uniform number against the cumulative
/// weights in descending order.
/// </summary>
internal sealed unsafe class Sample : IDisposable
{
    private readonly AlignedBuffer _counter = new(AlignedBuffer.Alignment);
    private SamplingScratch[] _lanes = [];

    /// <summary>Makes room for rows of this many logits on so many threads.</summary>
    public void Reserve(int vocabularySize, int lanes)
    {
        if (_lanes.Length >= lanes && _lanes[0].VocabularySize >= vocabularySize)
        {
            return;
        }
        int size = Math.Max(vocabularySize, _lanes.Length > 0 ? _lanes[0].VocabularySize : 0);
        int count = Math.Max(lanes, _lanes.Length);
        Dispose(_lanes);
        _lanes = new SamplingScratch[count];
        for (int i = 0; i < count; i++)
        {
            _lanes[i] = new SamplingScratch(size);
        }
    }

    public void Run(WorkerPool pool, Tensor logits, SamplingBatch batch)
    {
        int lanes = Math.Min(batch.Count, pool.ThreadCount);
        Reserve(logits.Columns, Math.Max(1, lanes));
        *(int*)_counter.Bytes = 0;
        pool.Run(new Job(this, logits, batch), lanes);
    }

    public void Dispose()
    {
        _counter.Dispose();
        Dispose(_lanes);
    }

    private static void Dispose(SamplingScratch[] lanes)
    {
        foreach (SamplingScratch lane in lanes)
        {
            lane.Dispose();
        }
    }

    private static void Row(ReadOnlySpan<float> logits, SamplingBatch batch, int index, SamplingScratch scratch)
    {
        ref readonly SamplingRow row = ref batch.Rows[index];
        int token = -1;
        bool finite = LogitScan.TryMax(logits, out float max);
        if (finite)
        {
            token = row.TargetId >= 0 ? row.TargetId : Choose(logits, max, row, scratch);
        }
        batch.TokenIds[index] = token;
        Report(logits, finite ? max : float.NaN, row, batch, index);
    }

    private static int Choose(ReadOnlySpan<float> logits, float max, in SamplingRow row, SamplingScratch scratch)
    {
        if (LogitEdits.Any(row))
        {
            Span<float> edited = scratch.Logits[..logits.Length];
            logits.CopyTo(edited);
            LogitEdits.Apply(row, edited, scratch.Counts[..logits.Length]);
            logits = edited;
            if (!LogitScan.TryMax(logits, out max))
            {
                return -1;
            }
        }
        return row.Temperature == 0 ? LogitScan.FirstEqual(logits, max) : Draw(logits, max, row, scratch);
    }

    private static int Draw(ReadOnlySpan<float> logits, float max, in SamplingRow row, SamplingScratch scratch)
    {
        TokenDistribution distribution = new(logits, max, row.Temperature, row.MinP, scratch);
        int count = row.TopK > 0 ? row.TopK : int.MaxValue;
        TokenDistribution.Place kept = distribution.Find(count, double.PositiveInfinity);
        if (row.TopP < 1)
        {
            kept = distribution.Find(kept.Count, row.TopP * kept.Mass);
        }
        double threshold = Philox.Uniform(row.Seed, row.Counter) * kept.Mass;
        // The first cumulative weight above the threshold, not merely equal to it.
        return distribution.Find(kept.Count, Math.BitIncrement(threshold)).TokenId;
    }

    /// <summary>Log-probabilities of the unedited logits; NaN where <paramref name="max"/> is.</summary>
    private static void Report(ReadOnlySpan<float> logits, float max, in SamplingRow row, SamplingBatch batch, int index)
    {
        int token = batch.TokenIds[index];
        if (!row.LogProb && row.TopLogProbs == 0)
        {
            return;
        }
        double logSum = float.IsNaN(max) ? double.NaN : LogitScan.LogSumExp(logits, max);
        if (row.LogProb)
        {
            batch.LogProbs[index] = token < 0 ? float.NaN : (float)((double)logits[token] - max - logSum);
        }
        if (row.TopLogProbs > 0)
        {
            Span<float> top = batch.TopLogProbs(index)[..row.TopLogProbs];
            LogitScan.Largest(logits, batch.TopIds(index)[..row.TopLogProbs], top);
            foreach (ref float value in top)
            {
                value = (float)((double)value - max - logSum);
            }
        }
    }

    /// <summary>A chunk is a lane, with scratch memory of its own, that takes the next row until none is left.</summary>
    private readonly struct Job(Sample owner, Tensor logits, SamplingBatch batch) : IChunkedJob
    {
        public void Execute(int chunk)
        {
            int row;
            while ((row = Interlocked.Increment(ref *(int*)owner._counter.Bytes) - 1) < batch.Count)
            {
                ReadOnlySpan<float> values = new((float*)logits.Address + (long)row * logits.RowStride, logits.Columns);
                Row(values, batch, row, owner._lanes[chunk]);
            }
        }
    }
}
