namespace LlamaServe.Bench.Load;

/// <summary>Mean, standard deviation and percentiles of values, the latter interpolated as NumPy does by default; 0 of nothing.</summary>
internal sealed class Distribution
{
    private readonly double[] _sorted;

    public Distribution(IEnumerable<double> values)
    {
        _sorted = [.. values.Order()];
        Mean = _sorted.Length == 0 ? 0 : _sorted.Average();
        Deviation = _sorted.Length == 0 ? 0 : Math.Sqrt(_sorted.Average(value => (value - Mean) * (value - Mean)));
    }

    public int Count => _sorted.Length;

    public double Mean { get; }

    public double Deviation { get; }

    public double Median => Percentile(50);

    /// <param name="percent">0 to 100.</param>
    public double Percentile(double percent)
    {
        if (_sorted.Length == 0)
        {
            return 0;
        }

        double at = percent / 100 * (_sorted.Length - 1);
        int below = (int)at, above = Math.Min(below + 1, _sorted.Length - 1);
        return _sorted[below] + (at - below) * (_sorted[above] - _sorted[below]);
    }
}
