using System.Text.Json.Nodes;
using LlamaServe.Bench.Load;
using LlamaServe.Bench.Offline;
using LlamaServe.Server;

namespace LlamaServe.Bench.Tests.Offline;

internal sealed class OfflineRunTests
{
    private static readonly ServerOptions Server = new() { Threads = 1, Engine = new() { KvCacheBytes = 16 << 20 } };

    [Test]
    public async Task All_requests_get_all_their_tokens()
    {
        // More than a server takes at once.
        ServeResult result = await OfflineRun.RunAsync(Server, new OfflineOptions(1100, new(4, 8), new(1, 3), WarmUp: 1), CancellationToken.None);
        JsonObject fields = OfflineCommand.Fields(result);

        Assert.That((result.Completed, result.Failed), Is.EqualTo((1100, 0)));
        Assert.That(result.InputTokens, Is.InRange(4 * 1100, 8 * 1100));
        Assert.That(result.OutputTokens, Is.InRange(1100, 3 * 1100));
        Assert.That(fields["num_requests"]!.GetValue<int>(), Is.EqualTo(1100));
        Assert.That(fields["total_num_tokens"]!.GetValue<long>(), Is.EqualTo(result.InputTokens + result.OutputTokens));
        Assert.That(fields["tokens_per_second"]!.GetValue<double>() * fields["elapsed_time"]!.GetValue<double>(), Is.EqualTo((double)(result.InputTokens + result.OutputTokens)).Within(1e-3));
        Assert.That(fields["requests_per_second"]!.GetValue<double>(), Is.EqualTo(1100 / result.Seconds).Within(1e-6));
    }

    [Test]
    public void Requests_beyond_the_context_are_not_passed_over() =>
        Assert.That(
            () => OfflineRun.RunAsync(Server, new OfflineOptions(2, new(2000, 2000), new(1, 1), WarmUp: 0), CancellationToken.None),
            Throws.InvalidOperationException.With.Message.Contains("2 requests failed"));

    [Test]
    public async Task Each_batch_is_timed_once()
    {
        double[] seconds = await new LatencyRun(Batch: 2, Input: 8, Output: 3, WarmUps: 1, Batches: 4).MeasureAsync(Server, CancellationToken.None);

        Assert.That(seconds, Has.Length.EqualTo(4).And.All.Positive);
    }

    [Test]
    public void Latencies_have_the_fields_that_scripts_look_for()
    {
        JsonObject fields = LatencyRun.Fields([4, 1, 2, 3, 5]);

        Assert.That(fields["avg_latency"]!.GetValue<double>(), Is.EqualTo(3));
        Assert.That(fields["latencies"]!.AsArray().Select(value => value!.GetValue<double>()), Is.EqualTo(new double[] { 4, 1, 2, 3, 5 }));
        Assert.That(fields["percentiles"]!.AsObject().Select(pair => pair.Key), Is.EqualTo(new[] { "10", "25", "50", "75", "90", "99" }));
        Assert.That(fields["percentiles"]!["75"]!.GetValue<double>(), Is.EqualTo(4));
    }
}
