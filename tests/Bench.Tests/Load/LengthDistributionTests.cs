using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Tests.Load;

internal sealed class LengthDistributionTests
{
    [Test]
    public void One_number_is_always_drawn() =>
        Assert.That(Draws("128").Distinct(), Is.EqualTo(new[] { 128 }));

    [Test]
    public void A_range_is_drawn_to_both_ends()
    {
        int[] draws = Draws("3-6");

        Assert.That(draws.Distinct().Order(), Is.EqualTo(new[] { 3, 4, 5, 6 }));
        Assert.That(draws.Average(), Is.EqualTo(4.5).Within(0.05));
    }

    [Test]
    public void A_log_normal_has_its_median_and_spread()
    {
        int[] draws = [.. Draws("lognormal:200,0.5").Order()];

        Assert.That(draws[draws.Length / 2], Is.EqualTo(200).Within(5));
        Assert.That(draws[(int)(draws.Length * 0.8413)], Is.EqualTo(200 * Math.Exp(0.5)).Within(10));
        Assert.That(draws[^1], Is.LessThanOrEqualTo(1600));
    }

    [TestCase("128")]
    [TestCase("3-6")]
    [TestCase("lognormal:200,0.5")]
    public void Its_text_reads_the_same(string text) => Assert.That(LengthDistribution.Parse(text).ToString(), Is.EqualTo(text));

    [TestCase("")]
    [TestCase("0")]
    [TestCase("-5")]
    [TestCase("9-3")]
    [TestCase("1-2-3")]
    [TestCase("lognormal:200")]
    [TestCase("lognormal:nan,1")]
    [TestCase("99999999999")]
    public void Anything_else_is_refused(string text) =>
        Assert.That(() => LengthDistribution.Parse(text), Throws.ArgumentException.With.Message.Contains(text));

    private static int[] Draws(string text)
    {
        LengthDistribution lengths = LengthDistribution.Parse(text);
        Random random = new(1);
        return [.. Enumerable.Range(0, 20_000).Select(_ => lengths.Draw(random))];
    }
}
