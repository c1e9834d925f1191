using LlamaServe.Bench.Training;

namespace LlamaServe.Bench.Tests;

internal sealed class LearningRateScheduleTests
{
    private readonly LearningRateSchedule _schedule = new(warmupSteps: 10, cooldownStart: 100, cooldownSteps: 20);

    [TestCase(0, 0.1f)]
    [TestCase(9, 1f)]
    [TestCase(99, 1f)]
    [TestCase(100, 1f)]
    [TestCase(110, 0.5f)]
    [TestCase(119, 0.05f)]
    public void The_rate_rises_stays_and_falls(int step, float factor) =>
        Assert.That(_schedule.Factor(step), Is.EqualTo(factor).Within(1e-6));

    [Test]
    public void It_is_over_after_the_last_cooldown_step()
    {
        Assert.That(_schedule.IsOver(119), Is.False);
        Assert.That(_schedule.IsOver(120), Is.True);
    }

    [Test]
    public void A_request_to_finish_moves_the_cooldown_forward_once()
    {
        var schedule = new LearningRateSchedule(warmupSteps: 10, cooldownStart: 100, cooldownSteps: 20);

        schedule.CoolDownFrom(50);
        schedule.CoolDownFrom(51);

        Assert.That(schedule.CooldownStart, Is.EqualTo(50));
        Assert.That(schedule.Factor(60), Is.EqualTo(0.5f).Within(1e-6));
        Assert.That(schedule.IsOver(70), Is.True);
    }
}
