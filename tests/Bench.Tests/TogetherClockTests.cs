using LlamaServe.Bench.Peers;

namespace LlamaServe.Bench.Tests;

public sealed class TogetherClockTests
{
    [Test]
    public void Tokens_count_only_once_every_sequence_has_its_first()
    {
        TogetherClock clock = new(sequences: 2, wanted: 2);
        Assert.That(clock.IsDone(isFirst: true), Is.False);
        Assert.That(clock.IsDone(isFirst: false), Is.False, "the other sequence is not decoding yet");
        Assert.That(clock.IsDone(isFirst: false), Is.False, "the other sequence is not decoding yet");
        Assert.That(clock.IsDone(isFirst: true), Is.False);
        Assert.That(clock.IsDone(isFirst: false), Is.False);
        Assert.That(clock.IsDone(isFirst: false), Is.True);
        Assert.That(clock.TokensPerSecond, Is.Positive);
    }

    [Test]
    public void A_run_that_ended_too_early_has_no_rate()
    {
        TogetherClock clock = new(sequences: 1, wanted: 2);
        clock.IsDone(isFirst: true);
        clock.IsDone(isFirst: false);
        Assert.That(() => clock.TokensPerSecond, Throws.InvalidOperationException);
    }
}
