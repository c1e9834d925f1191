using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Tests.Load;

internal sealed class SweepPointTests
{
    [Test]
    public void The_front_leaves_out_what_another_beats_in_both()
    {
        SweepPoint fast = Point(100, 100), middle = Point(80, 150), worse = Point(70, 140), wide = Point(40, 300), equal = Point(40, 300);

        Assert.That(SweepPoint.ParetoFront([fast, middle, worse, wide, equal]), Is.EqualTo(new[] { fast, middle, wide, equal }));
    }

    [Test]
    public void Each_device_bears_its_share_of_tokens_and_all_bear_the_price()
    {
        RequestRecord record = new(3);
        record.MarkSent();
        record.MarkPiece(400);
        record.MarkEnded(null);
        SweepPoint point = SweepPoint.Of(
            ServeRunTests.Options with { MaxConcurrency = 1 }, new ServeResult([record], seconds: 2, goal: null), devices: 4, dollarsPerHour: 1.8);

        Assert.That(point.TokensPerSecondPerDevice, Is.EqualTo(50));
        // 7.2 $/h at 200 tokens/s, 720,000 an hour: 10 $ a million.
        Assert.That(point.DollarsPerMillion, Is.EqualTo(10).Within(1e-9));
        Assert.That(point.TokensPerCent, Is.EqualTo(1000).Within(1e-9));
    }

    [Test]
    public void A_price_at_a_speed_lies_on_the_line_between_its_neighbours()
    {
        SweepPoint[] front = [Point(20, 400), Point(100, 100), Point(60, 200)];
        InteractivityPrice price = InteractivityPrice.At(front, 50, dollarsPerHour: 1.8)!;

        // Three quarters of the way from 20 to 60.
        Assert.That(price.TokensPerSecondPerDevice, Is.EqualTo(250).Within(1e-9));
        // 900,000 tokens for 1.8 $.
        Assert.That(price.DollarsPerMillion, Is.EqualTo(2).Within(1e-9));
        Assert.That(price.TokensPerCent, Is.EqualTo(5000).Within(1e-9));
        Assert.That(InteractivityPrice.At(front, 60, dollarsPerHour: null), Is.EqualTo(new InteractivityPrice(60, 200, null, null)));
    }

    [TestCase(19)]
    [TestCase(101)]
    public void Beyond_what_was_measured_there_is_none(double interactivity) =>
        Assert.That(InteractivityPrice.At([Point(20, 400), Point(100, 100)], interactivity, 1), Is.Null);

    [Test]
    public void Few_requests_have_no_99th_percentile()
    {
        SweepPoint few = Point(1, 1) with { Completed = SweepPoint.FewestForP99 - 1 }, enough = few with { Completed = SweepPoint.FewestForP99 };

        Assert.That(few.Row(), Does.Contain("few for a p99"));
        Assert.That(enough.Row(), Does.Not.Contain("few for a p99"));
    }

    private static SweepPoint Point(double perUser, double perDevice) => new(1, null, 1, perUser, perDevice, 0, 0, 1 / perUser, 0, 1, 0, null);
}
