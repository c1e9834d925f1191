using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Tests.Load;

internal sealed class DistributionTests
{
    // numpy.percentile([1, 2, 3, 4, 10], p), .mean() and .std() give these.
    [TestCase(0, 1)]
    [TestCase(50, 3)]
    [TestCase(90, 7.6)]
    [TestCase(95, 8.8)]
    [TestCase(99, 9.76)]
    [TestCase(100, 10)]
    public void Percentiles_are_interpolated(double percent, double expected) =>
        Assert.That(new Distribution([10, 1, 3, 2, 4]).Percentile(percent), Is.EqualTo(expected).Within(1e-12));

    [Test]
    public void Mean_and_deviation_are_of_the_whole()
    {
        Distribution distribution = new([1, 2, 3, 4, 10]);

        Assert.That(distribution.Mean, Is.EqualTo(4));
        Assert.That(distribution.Deviation, Is.EqualTo(Math.Sqrt(10)).Within(1e-12));
    }

    [Test]
    public void Nothing_gives_zeros()
    {
        Distribution nothing = new([]);

        Assert.That((nothing.Mean, nothing.Deviation, nothing.Percentile(99)), Is.EqualTo((0.0, 0.0, 0.0)));
    }
}
