using System.Text.Json.Nodes;
using LlamaServe.Bench.Load;
using LlamaServe.Testing;

namespace LlamaServe.Bench.Tests.Load;

internal sealed class SweepTests
{
    [Test]
    public async Task Rates_become_points_like_concurrency_does()
    {
        await using SlowServer server = await SlowServer.StartAsync();
        Sweep sweep = new(ServeRunTests.Options with { Address = server.Endpoint }, devices: 1, dollarsPerHour: 1, TextWriter.Null);
        await sweep.RunAtConcurrencyAsync(requests: 2, rounds: 3, CancellationToken.None);
        await sweep.RunAtRateAsync(rate: 40, seconds: 1, CancellationToken.None);

        Assert.That(sweep.Points.Select(point => (point.Concurrency, point.Rate, point.Completed)), Is.EqualTo(new (int?, double?, int)[] { (2, null, 6), (null, 40, 40) }));
        Assert.That(sweep.Points.Select(point => point.DollarsPerMillion), Has.All.Positive);
    }

    [Test]
    public async Task Every_rate_that_was_tried_is_kept()
    {
        // Of the requests in the order of their runs, the 50th, 100th and 150th fail: in the second, fourth and fifth run.
        await using SlowServer server = await SlowServer.StartAsync(TimeSpan.Zero, TimeSpan.Zero, failEvery: 50);
        StringWriter output = new();
        Sweep sweep = new(ServeRunTests.Options with { Address = server.Endpoint, Rate = 20 }, devices: 1, dollarsPerHour: null, output);
        double found = await sweep.FindRateAsync(new LatencyConstraint("any", 1e9, 1e9, ""), seconds: 1, CancellationToken.None);

        Assert.That(found, Is.EqualTo(31.25));
        Assert.That(sweep.Points.Select(point => point.Rate), Is.EqualTo(new[] { 20, 40, 30, 35, 32.5, 31.25 }));
        Assert.That(sweep.Points.Select(point => point.Failed), Is.EqualTo(new[] { 0, 1, 0, 1, 1, 0 }));
        Assert.That(output.ToString().Split('\n').Count(line => line.Trim() == "missed"), Is.EqualTo(3));
    }

    [Test]
    public async Task No_run_sends_what_another_has_sent()
    {
        string path = Path.GetTempFileName();
        try
        {
            JsonArray entries = [.. Enumerable.Range(0, 40).Select(i => (JsonNode)new JsonObject
            {
                ["conversations"] = new JsonArray(
                    new JsonObject { ["value"] = $"Tell me of the king who had {i} daughters." }, new JsonObject { ["value"] = "Once upon a time there was a king." }),
            })];
            await File.WriteAllTextAsync(path, entries.ToJsonString());
            await using SlowServer server = await SlowServer.StartAsync();
            Sweep sweep = new(
                ServeRunTests.Options with { Address = server.Endpoint, Workload = "sharegpt", File = path, Tokenizer = RepositoryPaths.BundledModel },
                devices: 1, dollarsPerHour: null, TextWriter.Null);
            foreach (int requests in new[] { 2, 4, 8 })
            {
                await sweep.RunAtConcurrencyAsync(requests, rounds: 2, CancellationToken.None);
            }

            Assert.That(server.Requests.Select(body => body["prompt"]!.ToJsonString()), Is.Unique.And.Exactly(28).Items);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Test]
    public async Task Answers_of_another_length_mark_their_point()
    {
        await using SlowServer server = await SlowServer.StartAsync(length: 3);
        StringWriter output = new();
        Sweep sweep = new(ServeRunTests.Options with { Address = server.Endpoint }, devices: 1, dollarsPerHour: null, output);
        await sweep.RunAtConcurrencyAsync(requests: 1, rounds: 2, CancellationToken.None);

        Assert.That(sweep.Points.Single().WrongLengths, Is.EqualTo(2));
        Assert.That(output.ToString(), Does.Contain("2 answers of another length"));
    }

    [Test]
    public async Task A_speed_that_was_not_measured_has_no_price()
    {
        await using SlowServer server = await SlowServer.StartAsync();
        StringWriter output = new();
        Sweep sweep = new(ServeRunTests.Options with { Address = server.Endpoint }, devices: 1, dollarsPerHour: 1, output);
        await sweep.RunAtConcurrencyAsync(requests: 1, rounds: 2, CancellationToken.None);

        Assert.That(sweep.PricesAt([1e-6]), Is.Empty);
        Assert.That(output.ToString(), Does.Contain("outside of what was measured"));
        Assert.That(sweep.PricesAt([sweep.Points[0].TokensPerSecondPerUser]), Has.Count.EqualTo(1));
    }
}
