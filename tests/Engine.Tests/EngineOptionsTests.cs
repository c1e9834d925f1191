namespace LlamaServe.Engine.Tests;

public class EngineOptionsTests
{
    private static IEnumerable<TestCaseData> Wrong()
    {
        var options = new EngineOptions();
        yield return new TestCaseData("TokenBudget", options with { TokenBudget = 0 });
        yield return new TestCaseData("MaxSequences", options with { MaxSequences = 513 });
        yield return new TestCaseData("BlockSize", options with { BlockSize = 24 });
        yield return new TestCaseData("BlockSize", options with { BlockSize = 0 });
        yield return new TestCaseData("StepTimeTarget", options with { StepTimeTarget = TimeSpan.FromSeconds(-1) });
        yield return new TestCaseData("StepTimeout", options with { StepTimeout = TimeSpan.Zero });
        yield return new TestCaseData("KvCacheBytes", options with { KvCacheBytes = 0 });
        yield return new TestCaseData("KvHostBytes", options with { KvHostBytes = -1 });
        yield return new TestCaseData("KvHostBytes", options with { KvHostBytes = 1 << 30, PrefixCaching = false });
        yield return new TestCaseData("MaxHostBytesPerRequest", options with { MaxHostBytesPerRequest = options.MaxHostBytes + 1 });
        yield return new TestCaseData("MaxSamples", options with { MaxSamples = 0 });
        yield return new TestCaseData("TokenBuffer", options with { TokenBuffer = 0 });
    }

    [Test]
    public void Defaults_are_legal() => Assert.DoesNotThrow(() => new EngineOptions().Validate());

    [TestCaseSource(nameof(Wrong))]
    public void A_value_out_of_range_is_named(string name, EngineOptions options)
    {
        ArgumentException? thrown = Assert.Throws<ArgumentException>(options.Validate);
        Assert.That(thrown!.ParamName, Is.EqualTo(name));
    }
}
