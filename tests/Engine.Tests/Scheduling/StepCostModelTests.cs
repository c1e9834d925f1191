using LlamaServe.Engine.KvCache;
using LlamaServe.Engine.Scheduling;

namespace LlamaServe.Engine.Tests.Scheduling;

/// <summary>The fit of step times, and the prefill budget that follows from it.</summary>
public class StepCostModelTests
{
    private static double TrueSeconds(int tokens, double attended) => 5e-3 + 0.4e-3 * tokens + 30e-9 * attended;

    [Test]
    public void Learns_the_cost_of_steps_from_noisy_measurements()
    {
        StepCostModel costs = Trained(noise: 0.1);
        foreach ((int tokens, double attended) in new[] { (8, 4e3), (64, 3e4), (256, 1e5), (512, 4e5) })
        {
            Assert.That(costs.Predict(tokens, attended), Is.EqualTo(TrueSeconds(tokens, attended)).Within(20).Percent, $"{tokens} tokens");
        }
    }

    [Test]
    public void A_machine_that_becomes_slower_is_noticed_and_one_hiccup_is_not()
    {
        StepCostModel costs = Trained(noise: 0.02);
        double before = costs.Predict(100, 1e4);
        costs.Observe(100, 1e4, 5);
        Assert.That(costs.Predict(100, 1e4), Is.LessThan(2 * before));
        var random = new Random(5);
        for (int i = 0; i < 300; i++)
        {
            int tokens = random.Next(1, 300);
            costs.Observe(tokens, tokens * 100.0, 2 * TrueSeconds(tokens, tokens * 100.0));
        }
        Assert.That(costs.Predict(100, 1e4), Is.EqualTo(2 * TrueSeconds(100, 1e4)).Within(25).Percent);
    }

    [Test]
    public void A_long_decode_does_not_spoil_what_is_known_of_prefill()
    {
        StepCostModel costs = Trained(noise: 0.05);
        var random = new Random(6);
        for (int i = 0; i < 20_000; i++)
        {
            costs.Observe(8, 8e3, TrueSeconds(8, 8e3) * (1 + 0.1 * (random.NextDouble() - 0.5)));
        }
        Assert.That(costs.Predict(264, 1e5), Is.EqualTo(TrueSeconds(264, 1e5)).Within(40).Percent);
    }

    [Test]
    public void Prefill_joins_decoding_sequences_only_as_far_as_the_time_target_allows()
    {
        int[] counts = PrefillBeside(decoding: true, targetSeconds: 0.050);
        Assert.That(counts[0], Is.EqualTo((int)((0.050 - 5e-3) / 0.4e-3)).Within(25).Percent);
        Assert.That(PrefillBeside(decoding: true, targetSeconds: 0.001)[0], Is.EqualTo(16), "prompts never starve");
        Assert.That(PrefillBeside(decoding: true, targetSeconds: 0)[0], Is.GreaterThan(500), "without a target the budget decides");
        Assert.That(PrefillBeside(decoding: false, targetSeconds: 0.050)[0], Is.EqualTo(512), "nobody waits for a token");
    }

    private static int[] PrefillBeside(bool decoding, double targetSeconds)
    {
        var options = new SchedulerOptions(TokenBudget: 512, MaxSequences: 8, MinPrefillTokens: 16, StepTimeTarget: targetSeconds);
        var blocks = new KvCacheManager(1000, 16, prefixCaching: false, new BlockHasher());
        var scheduler = new Scheduler(options, blocks, Trained(noise: 0.02), new EngineCounters());
        var plan = new StepPlan(8);
        if (decoding)
        {
            var decoder = new Sequence(new SequenceSpec(new int[4], 100));
            scheduler.Add(decoder, 0);
            scheduler.Schedule(plan, 0);
            StepProgress.Advance(plan);
            new StepProgress(blocks).Commit(plan);
            decoder.Resolve(1);
        }
        var prompt = new Sequence(new SequenceSpec(new int[2000], 2100, Arrival: 1));
        scheduler.Add(prompt, 0);
        scheduler.Schedule(plan, 0);
        return [.. plan.Slices.ToArray().Where(s => s.Sequence == prompt).Select(s => s.Count)];
    }

    private static StepCostModel Trained(double noise)
    {
        var costs = new StepCostModel();
        var random = new Random(4);
        for (int i = 0; i < 400; i++)
        {
            int tokens = random.Next(4) == 0 ? random.Next(64, 513) : random.Next(1, 16);
            double attended = tokens * random.Next(10, 1000);
            costs.Observe(tokens, attended, TrueSeconds(tokens, attended) * (1 + noise * (random.NextDouble() - 0.5)));
        }
        return costs;
    }
}
