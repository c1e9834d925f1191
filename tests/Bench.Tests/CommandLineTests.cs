namespace LlamaServe.Bench.Tests;

internal sealed class CommandLineTests
{
    [TestCase("--api-key", "sk-1")]
    [TestCase("--header", "Authorization=sk-1")]
    public void Keys_and_headers_are_not_kept(string option, string value)
    {
        Assert.That(CommandLine.Of(["serve", option, value, "--rate", "4"]), Is.EqualTo($"bench serve {option} *** --rate 4"));
        Assert.That(CommandLine.Of(["serve", $"{option}={value}", "--http"]), Is.EqualTo($"bench serve {option}=*** --http"));
        Assert.That(CommandLine.Of(["serve", $"{option}:{value}"]), Does.Not.Contain("sk-1"));
    }

    [Test]
    public void Everything_else_is() =>
        Assert.That(CommandLine.Of(["cost", "--hardware", "H200"]), Is.EqualTo("bench cost --hardware H200"));
}
