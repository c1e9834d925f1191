using LlamaServe.Bench.Offline;
using LlamaServe.Server;

namespace LlamaServe.Bench.Tests.Offline;

internal sealed class ReturningRunTests
{
    /// <summary>Of 16 tokens: 6 layers, 2 heads of 64, BF16.</summary>
    private const long BlockBytes = 16 * 2 * 6 * 2 * 64 * 2;

    private static ServerOptions Server(long hostBlocks) => new()
    {
        Threads = 1,
        Engine = new() { KvCacheBytes = 12 * BlockBytes, KvHostBytes = hostBlocks * BlockBytes, MaxSequences = 4, TokenBudget = 64 },
    };

    [Test]
    public async Task What_does_not_fit_the_kv_cache_comes_back_from_host_memory()
    {
        ReturningResult result = await new ReturningRun(Prompts: 5, Tokens: 70, Rounds: 2).MeasureAsync(Server(40), CancellationToken.None);

        Assert.That((result.KvTokens, result.HostTokens), Is.EqualTo((12 * 16, 40 * 16)));
        Assert.That(result.CachedWithout, Is.Zero, "five times five blocks come in turn to twelve");
        Assert.That(result.CachedWith, Is.EqualTo(64 / 70.0).Within(1e-9));
        Assert.That(result.BlocksSwappedIn, Is.InRange(30, 40));
        Assert.That(result.BlocksSwappedOut, Is.InRange(13, 20), "each of the twenty full blocks is written once");
        Assert.That(new[] { result.FirstWithout, result.FirstWith, result.LaterWithout, result.LaterWith, result.Ratio }, Is.All.Positive);
    }

    [Test]
    public void Without_host_memory_there_is_nothing_to_compare() =>
        Assert.That(() => new ReturningRun(1, 1, 1).MeasureAsync(Server(0), CancellationToken.None), Throws.ArgumentException.With.Message.Contains("--kv-host-gb"));
}
