using LlamaServe.Bench.Load;
using LlamaServe.Bench.Simulation;
using LlamaServe.Engine;

namespace LlamaServe.Bench.Tests.Simulation;

internal sealed class LongContextTests
{
    private const int Prompt = 1_000_000;
    private const int TokenBudget = 8192;

    [Test]
    public void A_million_tokens_go_through_scheduler_and_kv_cache_and_are_found_again()
    {
        DeviceGroup eight = new(DataSheet.Named("H100"), ModelShape.Named("llama-3-8b") with { WeightBits = 8, KvBits = 8 }, 8);
        NotedCost noted = new(eight);
        EngineOptions options = new() { TokenBudget = TokenBudget, MaxSequences = 256, StepTimeTarget = TimeSpan.Zero };
        TokenSource ids = new(0, 32000, seed: 1);
        Conversation conversation = new([new Turn(ids.Draw(Prompt), 10), new Turn(ids.Draw(100), 10)]);
        SimulationResult result = new Cluster([new Replica(options, eight.KvTokens, noted)], Routing.LeastLoaded).Run([conversation], [0]);

        // All but the last token that was said are computed; whole blocks of them are found.
        int found = (Prompt + 9) / options.BlockSize * options.BlockSize, added = Prompt + 10 + 100 - found;
        int chunks = (Prompt + TokenBudget - 1) / TokenBudget;
        Assert.That((result.Requests, result.CachedTokens), Is.EqualTo((2, (long)found)));
        Assert.That(result.Steps, Is.EqualTo(chunks + 9 + 1 + 9));
        Assert.That(
            noted.Sizes.Sum(size => size.PrefillAttended), Is.EqualTo(Triangle(Prompt) + (double)added * found + Triangle(added)), "every token attends to all before it");
        Assert.That(
            noted.Sizes.Sum(size => size.DecodeAttended), Is.EqualTo(9.0 * Prompt + Triangle(9) + 9.0 * (Prompt + 110) + Triangle(9)));
        Assert.That(result.TimeToFirstToken.Percentile(100), Is.EqualTo(noted.Sizes.Take(chunks).Sum(size => eight.Seconds(size))).Within(1e-6));
        Assert.That(result.PeakKvUse * eight.KvTokens, Is.EqualTo(Prompt + 120).Within(2 * options.BlockSize));
    }

    // 1 + 2 + … + count
    private static double Triangle(double count) => count * (count + 1) / 2;
}
