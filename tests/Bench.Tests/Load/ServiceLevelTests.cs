using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Tests.Load;

internal sealed class ServiceLevelTests
{
    [Test]
    public void Goals_are_read_in_milliseconds() =>
        Assert.That(ServiceLevel.Parse(["ttft:500", "tpot:50.5"]), Is.EqualTo(new ServiceLevel(0.5, 0.0505, null)));

    [Test]
    public void No_goal_is_none() => Assert.That(ServiceLevel.Parse([]), Is.Null);

    [TestCase("ttft")]
    [TestCase("ttft:0")]
    [TestCase("ttft:soon")]
    [TestCase("latency:5")]
    public void Unknown_goals_are_refused(string part) =>
        Assert.That(() => ServiceLevel.Parse([part]), Throws.ArgumentException.With.Message.Contains(part));

    [Test]
    public void A_failed_request_keeps_no_goal()
    {
        RequestRecord record = new(1);
        record.MarkSent();
        record.MarkPiece(1);
        record.MarkEnded(null);
        Assert.That(new ServiceLevel(60, 60, 60).Holds(record), Is.True);

        record.MarkFailed("cut off");
        Assert.That(new ServiceLevel(60, 60, 60).Holds(record), Is.False);
    }
}
