using LlamaServe.Bench.Cost;
using LlamaServe.Bench.Frontend;
using LlamaServe.Bench.Load;
using LlamaServe.Bench.Tests.Load;
using Microsoft.AspNetCore.Builder;

namespace LlamaServe.Bench.Tests.Cost;

internal sealed class CostRunTests
{
    private static readonly HardwarePrice Price = HardwarePrice.Find(HardwarePrice.DefaultPath, "H200", "neocloud");

    [Test]
    public async Task Cached_input_has_a_price_where_the_cache_had_it()
    {
        (WebApplication app, string address) = await FrontendServer.StartAsync(CancellationToken.None);
        await using WebApplication server = app;
        ServeOptions options = ServeRunTests.Options with { IsHttp = false, Address = new Uri(address), Input = new(320, 320), WarmUp = 2 };
        CostRun run = await MeasureAsync(options);

        // 19 whole blocks of 16: the last token's block is computed for the answer.
        Assert.That((run.InputCachedShare, run.CachedShare), Is.EqualTo((0.0, 0.95)));
        Assert.That(run.CachedInput?.DollarsPerMillion, Is.Positive);
        Assert.That(Table(run), Does.Not.Contain("cached input has no price").And.Not.Contain("not verified"));
    }

    [Test]
    public async Task What_the_cache_had_lost_has_none()
    {
        await using SlowServer server = await SlowServer.StartAsync(prompt: (20, 17));
        CostRun run = await MeasureAsync(ServeRunTests.Options with { Address = server.Endpoint });

        Assert.That(run.CachedInput, Is.Null);
        Assert.That(Table(run), Does.Contain("only 85 %").And.Contain("input is too cheap: 85 %"));
    }

    [Test]
    public async Task A_server_that_does_not_say_gets_a_price_that_is_not_verified()
    {
        await using SlowServer server = await SlowServer.StartAsync();
        CostRun run = await MeasureAsync(ServeRunTests.Options with { Address = server.Endpoint });

        Assert.That(run.CachedInput, Is.Not.Null);
        Assert.That(Table(run), Does.Contain("not verified"));
    }

    [Test]
    public async Task Answers_of_another_length_are_told()
    {
        await using SlowServer exact = await SlowServer.StartAsync(), longer = await SlowServer.StartAsync(length: 4);

        Assert.That(Table(await MeasureAsync(ServeRunTests.Options with { Address = exact.Endpoint })), Does.Not.Contain("another length"));
        // Prompts ask for one token, answers for four.
        Assert.That(Table(await MeasureAsync(ServeRunTests.Options with { Address = longer.Endpoint })), Does.Contain("12 answers have another length"));
    }

    [Test]
    public async Task Joules_are_counted_for_each_kind_without_the_warm_up()
    {
        await using SlowServer server = await SlowServer.StartAsync();
        CostRun run = await MeasureAsync(ServeRunTests.Options with { Address = server.Endpoint, WarmUp = 3 }, new CountedRequests(server));

        // A joule a request: six of 20 tokens in, and six of 4 tokens out.
        Assert.That(run.Energy, Is.EqualTo(new[] { new TokenEnergy("requests", 1.0 / 20, 1.0 / 20, 1.0 / 4) }));
        Assert.That(server.Requests, Has.Count.EqualTo(3 + 3 * 6));
    }

    private static Task<CostRun> MeasureAsync(ServeOptions options, params IEnergyCounter[] counters) =>
        CostRun.MeasureAsync(options, dollarsPerHour: 1, counters, CancellationToken.None);

    private static string Table(CostRun run)
    {
        StringWriter table = new();
        CostTable.Write(run, Price, devices: 1, ServeRunTests.Options, table);
        return table.ToString();
    }

    /// <summary>A joule for each request that came.</summary>
    private sealed class CountedRequests(SlowServer server) : IEnergyCounter
    {
        public string Name => "requests";

        public double Joules => server.Requests.Count;
    }
}
