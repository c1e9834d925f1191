namespace LlamaServe.Bench.Simulation;

/// <summary>Counts of times in buckets that grow by 1 %: a thousand million of them take no more memory than one. The mean is exact.</summary>
internal sealed class LatencyHistogram
{
    private const double Shortest = 1e-6;
    private const double Growth = 1.01;

    // 1.01^2700 · 1 µs is above five days.
    private readonly long[] _counts = new long[2700];
    private double _sum;

    public long Count { get; private set; }

    /// <summary>Seconds; 0 of nothing.</summary>
    public double Mean => Count == 0 ? 0 : _sum / Count;

    /// <param name="seconds">Below 1 µs counts as 1 µs in quantiles.</param>
    public void Add(double seconds)
    {
        int bucket = seconds <= Shortest ? 0 : (int)(Math.Log(seconds / Shortest) / Math.Log(Growth));
        _counts[Math.Min(bucket, _counts.Length - 1)]++;
        _sum += seconds;
        Count++;
    }

    public void Add(LatencyHistogram other)
    {
        for (int i = 0; i < _counts.Length; i++)
        {
            _counts[i] += other._counts[i];
        }

        _sum += other._sum;
        Count += other.Count;
    }

    /// <summary>Seconds, right to half a percent; 0 of nothing.</summary>
    /// <param name="percent">0 to 100.</param>
    public double Percentile(double percent)
    {
        double rank = percent / 100 * Math.Max(0, Count - 1);
        long below = 0;
        for (int i = 0; i < _counts.Length; i++)
        {
            below += _counts[i];
            if (below > rank)
            {
                return Shortest * Math.Pow(Growth, i + 0.5);
            }
        }

        return 0;
    }
}
