using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Tests.Load;

internal sealed class SweepPointTests
{
    [Test]
    public void The_front_leaves_out_what_another_beats_in_both()
    {
        SweepPoint fast = Point(1, 100, 100), middle = Point(2, 80, 150), worse = Point(3, 70, 140), wide = Point(4, 40, 300), equal = Point(5, 40, 300);

        Assert.That(SweepPoint.ParetoFront([fast, middle, worse, wide, equal]), Is.EqualTo(new[] { fast, middle, wide, equal }));
    }

    [Test]
    public void Each_device_bears_its_share_of_tokens_and_all_bear_the_price()
    {
        RequestRecord record = new(3);
        record.MarkSent();
        record.MarkPiece(400);
        record.MarkEnded(null);
        SweepPoint point = SweepPoint.Of(1, new ServeResult([record], seconds: 2, goal: null), devices: 4, dollarsPerHour: 1.8);

        Assert.That(point.TokensPerSecondPerDevice, Is.EqualTo(50));
        // 7.2 $/h at 200 tokens/s, 720,000 an hour: 10 $ a million.
        Assert.That(point.DollarsPerMillion, Is.EqualTo(10).Within(1e-9));
        Assert.That(point.TokensPerCent, Is.EqualTo(1000).Within(1e-9));
    }

    private static SweepPoint Point(int concurrency, double perUser, double perDevice) => new(concurrency, perUser, perDevice, 0, 0, null, null, 0);
}
