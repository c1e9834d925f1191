using System.CommandLine;
using LlamaServe.Bench.Peers;

namespace LlamaServe.Bench.Tests.Peers;

internal sealed class PeersCommandTests
{
    [Test]
    public void All_processors_work_by_default() =>
        Assert.That(PeersCommand.Create().Parse("").GetValue<int>("--threads"), Is.EqualTo(Environment.ProcessorCount));

    [TestCase("--threads 0")]
    [TestCase("--rounds 0")]
    public void Nothing_to_measure_is_refused(string arguments) => Assert.That(
        async () => await PeersCommand.Create().Parse(arguments).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false }),
        Throws.ArgumentException.With.Message.Contains("at least 1"));
}
