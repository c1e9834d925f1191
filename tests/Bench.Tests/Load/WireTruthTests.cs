using System.Diagnostics;
using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Tests.Load;

/// <summary>The generator's times beside those of somebody who watches the same bytes on their way.</summary>
internal sealed class WireTruthTests
{
    private const int Tokens = 12;
    private const int Requests = 10;
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(20);

    [Test]
    public async Task Times_are_those_on_the_wire()
    {
        await using SlowServer server = await SlowServer.StartAsync(Step, Step);
        await using WireTee wire = new(server.Endpoint);
        using OpenAiGenerationClient client = new(wire.Endpoint, "m", tokenizer: null);
        List<RequestRecord> records = [];
        for (int i = 0; i < Requests; i++)
        {
            records.Add(new RequestRecord(2));
            await client.SendAsync(new LoadRequest([300, 301], Tokens), records[^1], CancellationToken.None);
        }

        Assert.That(wire.Requests.Select(request => request.Tokens.Count), Is.EqualTo(Enumerable.Repeat(Tokens, Requests)));
        double[] late = [.. records.Zip(wire.Requests, (record, seen) => record.TimeToFirstToken - Seconds(seen.Asked, seen.Tokens[0]))];
        double[] apart = [.. records.Zip(wire.Requests, (record, seen) => record.TimePerToken - Seconds(seen.Tokens[0], seen.Tokens[^1]) / (Tokens - 1))];
        await TestContext.Out.WriteLineAsync(
            $"milliseconds that the client adds, median: {1000 * new Distribution(late).Median:F3} to the first token, {1000 * new Distribution(apart).Median:F3} between tokens");

        // Sent before the first byte comes by, and seen after the token does: never less, however busy the machine is.
        Assert.That(late, Has.All.Positive);
        // A quarter of a step: one piece more or less is a whole one. The quickest of all, since any may have had to wait for a processor.
        Assert.That(late.Min(), Is.LessThan(Step.TotalSeconds / 4));
        Assert.That(new Distribution(apart).Median, Is.Zero.Within(0.001));
    }

    private static double Seconds(long from, long to) => Stopwatch.GetElapsedTime(from, to).TotalSeconds;
}
