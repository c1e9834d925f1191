using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Tests.Load;

internal sealed class ArrivalTimesTests
{
    private const int Count = 100_000;

    [TestCase(0.25)]
    [TestCase(1)]
    [TestCase(4)]
    public void Gaps_have_the_rate_and_the_burstiness(double burstiness)
    {
        double[] gaps = Gaps(ArrivalTimes.Draw(Count, rate: 20, burstiness, new Random(1)));
        double mean = gaps.Average(), variance = gaps.Average(gap => (gap - mean) * (gap - mean));

        Assert.That(mean, Is.EqualTo(1 / 20.0).Within(3).Percent);
        // A gamma distribution's squared coefficient of variation is 1/shape.
        Assert.That(variance / (mean * mean), Is.EqualTo(1 / burstiness).Within(5).Percent);
        Assert.That(gaps, Has.All.GreaterThanOrEqualTo(0));
    }

    [Test]
    public void Poisson_gaps_are_exponential()
    {
        double[] gaps = Gaps(ArrivalTimes.Draw(Count, rate: 1, burstiness: 1, new Random(2)));

        foreach (double x in new[] { 0.1, 0.5, 1, 2, 3 })
        {
            Assert.That(gaps.Count(gap => gap > x) / (double)Count, Is.EqualTo(Math.Exp(-x)).Within(0.01));
        }
    }

    [Test]
    public void A_fixed_rate_is_even() =>
        Assert.That(Gaps(ArrivalTimes.Draw(100, rate: 4, double.PositiveInfinity, new Random(3))), Has.All.EqualTo(0.25).Within(1e-9));

    [Test]
    public void Without_a_rate_all_come_at_once() =>
        Assert.That(ArrivalTimes.Draw(5, double.PositiveInfinity, 1, new Random(4)), Is.EqualTo(new double[5]));

    private static double[] Gaps(double[] times) => [.. times.Select((time, i) => i == 0 ? time : time - times[i - 1])];
}
