using System.Text.Json.Nodes;
using LlamaServe.Bench.Frontend;
using LlamaServe.Bench.Load;
using Microsoft.AspNetCore.Builder;

namespace LlamaServe.Bench.Tests.Load;

internal sealed class ServeRunTests
{
    public static readonly ServeOptions Options = new(
        new Uri("http://127.0.0.1:1"), IsHttp: true, Model: "m", Tokenizer: null, AsText: false, Workload: "synthetic", File: null, Input: new(20, 20),
        Output: new(4, 4), SharedPrefix: 0, Turns: 2, SystemTokens: 16, Conversations: 6, Rate: double.PositiveInfinity, Burstiness: 1,
        MaxConcurrency: null, Connections: 2, Seed: 1, IdSeed: 1, WarmUp: 0, Goal: null);

    [Test]
    public async Task A_slow_server_shows_in_every_number()
    {
        await using SlowServer server = await SlowServer.StartAsync(TimeSpan.FromMilliseconds(200), TimeSpan.FromMilliseconds(60));
        ServeResult result = await RunAsync(Options with { Address = server.Endpoint, Goal = new ServiceLevel(0.1, null, null) });

        Assert.That((result.Completed, result.Failed, result.OutputTokens, result.InputTokens), Is.EqualTo((6, 0, 24L, 120L)));
        // Timers may fire a little early, never by this much.
        Assert.That(result.TimeToFirstToken.Percentile(0), Is.GreaterThan(0.18));
        Assert.That(result.InterTokenLatency.Median, Is.GreaterThan(0.05));
        Assert.That(result.InterTokenLatency.Count, Is.EqualTo(18));
        Assert.That(result.TimePerToken.Percentile(0), Is.GreaterThan(0.05));
        Assert.That(result.Latency.Percentile(0), Is.GreaterThan(0.34));
        Assert.That(result.Goodput, Is.Zero);
    }

    [Test]
    public async Task Concurrency_is_limited_where_it_is_asked()
    {
        await using SlowServer server = await SlowServer.StartAsync(TimeSpan.FromMilliseconds(50), TimeSpan.Zero);
        ServeResult result = await RunAsync(Options with { Address = server.Endpoint, MaxConcurrency = 1 });

        Assert.That(result.Seconds, Is.GreaterThan(6 * 0.045), "six requests of 50 ms, one after the other");
    }

    [Test]
    public async Task Failures_are_counted_and_named()
    {
        await using SlowServer server = await SlowServer.StartAsync(TimeSpan.Zero, TimeSpan.Zero, failEvery: 3);
        ServeResult result = await RunAsync(Options with { Address = server.Endpoint });

        Assert.That((result.Completed, result.Failed), Is.EqualTo((4, 2)));
        Assert.That(result.Errors.Single(), Is.EqualTo(("503: no room", 2)));
    }

    [Test]
    public async Task Nobody_listening_fails_every_request()
    {
        ServeResult result = await RunAsync(Options);

        Assert.That((result.Completed, result.Failed), Is.EqualTo((0, 6)));
    }

    [Test]
    public async Task Requests_ask_for_exactly_as_many_tokens()
    {
        await using SlowServer server = await SlowServer.StartAsync(TimeSpan.Zero, TimeSpan.Zero);
        await RunAsync(Options with { Address = server.Endpoint, Conversations = 1 });
        JsonNode body = server.Requests.Single();

        Assert.That(body["prompt"]!.AsArray(), Has.Count.EqualTo(20));
        Assert.That(body["max_tokens"]!.GetValue<int>(), Is.EqualTo(4));
        Assert.That(body["ignore_eos"]!.GetValue<bool>(), Is.True);
        Assert.That(body["model"]!.GetValue<string>(), Is.EqualTo("m"));
    }

    [Test]
    public async Task Agents_go_on_from_what_was_said()
    {
        (WebApplication app, string address) = await FrontendServer.StartAsync(CancellationToken.None);
        await using WebApplication server = app;
        ServeResult result = await RunAsync(
            Options with { IsHttp = false, Address = new Uri(address), Workload = "agents", Turns = 3, Conversations = 4 });

        Assert.That((result.Completed, result.Failed, result.OutputTokens), Is.EqualTo((12, 0, 48L)));
        // 16 of the system prompt and 20 a turn, and four tokens of every answer before: 36, 60 and 84.
        Assert.That(result.InputTokens, Is.EqualTo(4 * (36 + 60 + 84)));
    }

    [Test]
    public void Text_without_a_tokenizer_is_refused() =>
        Assert.That(() => RunAsync(Options with { AsText = true }), Throws.ArgumentException.With.Message.Contains("--tokenizer"));

    [Test]
    public async Task The_result_has_the_fields_that_scripts_look_for()
    {
        await using SlowServer server = await SlowServer.StartAsync(TimeSpan.Zero, TimeSpan.Zero);
        ServeOptions options = Options with { Address = server.Endpoint };
        JsonNode json = JsonNode.Parse(ServeJson.Of(options, await RunAsync(options), detailed: true).ToJsonString())!;

        foreach (string name in new[] { "ttft", "tpot", "itl", "e2el" })
        {
            foreach (string statistic in new[] { "mean", "median", "std", "p50", "p90", "p95", "p99" })
            {
                Assert.That(json[$"{statistic}_{name}_ms"]?.GetValue<double>(), Is.GreaterThanOrEqualTo(0), $"{statistic}_{name}_ms");
            }
        }

        Assert.That(json["request_rate"]!.GetValue<string>(), Is.EqualTo("inf"));
        Assert.That(json["completed"]!.GetValue<int>(), Is.EqualTo(6));
        Assert.That(json["total_output_tokens"]!.GetValue<int>(), Is.EqualTo(24));
        Assert.That(json["output_lens"]!.AsArray().Select(length => length!.GetValue<int>()), Is.EqualTo(Enumerable.Repeat(4, 6)));
        Assert.That(json["itls"]![0]!.AsArray(), Has.Count.EqualTo(3));
    }

    private static Task<ServeResult> RunAsync(ServeOptions options) => ServeRun.RunAsync(options, TextWriter.Null, CancellationToken.None);
}
