using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Tests.Load;

internal sealed class RateSearchTests
{
    [TestCase(0.3)]
    [TestCase(1)]
    [TestCase(37.5)]
    public async Task The_limit_is_found_from_either_side(double limit)
    {
        double found = await RateSearch.FindAsync(rate => Task.FromResult(rate <= limit), first: 4, precision: 0.01);

        Assert.That(found, Is.LessThanOrEqualTo(limit).And.GreaterThan(0.98 * limit));
    }

    [Test]
    public async Task A_server_that_never_keeps_it_has_none() =>
        Assert.That(await RateSearch.FindAsync(_ => Task.FromResult(false), first: 1, precision: 0.05), Is.Zero);
}
