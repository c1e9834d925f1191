using LlamaServe.Bench.Load;
using LlamaServe.Bench.Simulation;

namespace LlamaServe.Bench.Tests.Simulation;

internal sealed class LatencyHistogramTests
{
    [Test]
    public void Quantiles_are_those_of_all_values_to_one_percent()
    {
        Random random = new(1);
        double[] values = [.. Enumerable.Range(0, 20_000).Select(_ => 1e-3 * Math.Exp(3 * random.NextDouble()))];
        LatencyHistogram first = new(), second = new();
        foreach (double value in values)
        {
            (value < 5e-3 ? first : second).Add(value);
        }

        first.Add(second);
        Distribution exact = new(values);
        Assert.That(first.Count, Is.EqualTo(values.Length));
        Assert.That(first.Mean, Is.EqualTo(exact.Mean).Within(1e-9));
        foreach (double percent in new double[] { 0, 50, 90, 99, 100 })
        {
            Assert.That(first.Percentile(percent), Is.EqualTo(exact.Percentile(percent)).Within(1).Percent, $"p{percent}");
        }
    }

    [Test]
    public void Extremes_have_a_place()
    {
        LatencyHistogram histogram = new();
        histogram.Add(0);
        histogram.Add(1e9);

        Assert.That(histogram.Percentile(0), Is.LessThan(2e-6));
        Assert.That(histogram.Percentile(100), Is.GreaterThan(86400));
        Assert.That(new LatencyHistogram().Percentile(50), Is.Zero);
    }
}
