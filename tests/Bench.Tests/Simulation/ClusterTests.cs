using LlamaServe.Bench.Load;
using LlamaServe.Bench.Simulation;
using LlamaServe.Engine;

namespace LlamaServe.Bench.Tests.Simulation;

internal sealed class ClusterTests
{
    [Test]
    public void A_lone_request_takes_a_step_for_its_prompt_and_one_for_each_further_token()
    {
        SimulationResult result = Run(1, new SyntheticWorkload(new(100, 100), new(11, 11), 0), 1, double.PositiveInfinity);

        Assert.That((result.Requests, result.Steps, result.OutputTokens), Is.EqualTo((1, 11L, 11L)));
        Assert.That(result.Seconds, Is.EqualTo(0.11).Within(1e-9));
        Assert.That(result.TimeToFirstToken.Median, Is.EqualTo(0.01).Within(1e-9));
        Assert.That(result.TimePerToken.Median, Is.EqualTo(0.01).Within(1e-9));
    }

    [Test]
    public void Requests_that_fit_run_together()
    {
        SimulationResult result = Run(1, new SyntheticWorkload(new(16, 16), new(5, 5), 0), 64, double.PositiveInfinity);

        Assert.That((result.Requests, result.Steps), Is.EqualTo((64, 5L)));
    }

    [Test]
    public void Replicas_share_the_work()
    {
        SyntheticWorkload load = new(new(32, 64), new(20, 40), 0);
        // Many times what runs together, so that the last requests' own length does not count.
        SimulationResult one = Run(1, load, 8000, double.PositiveInfinity), four = Run(4, load, 8000, double.PositiveInfinity);

        Assert.That(four.OutputTokens, Is.EqualTo(one.OutputTokens));
        Assert.That(four.Seconds, Is.InRange(0.25 * one.Seconds, 0.3 * one.Seconds));
    }

    [Test]
    public void A_cache_too_small_for_all_preempts_and_everybody_still_ends()
    {
        SimulationResult result = Run(1, new SyntheticWorkload(new(64, 64), new(200, 200), 0), 40, double.PositiveInfinity, kvTokens: 4096);

        Assert.That(result.Requests, Is.EqualTo(40));
        Assert.That(result.Preemptions, Is.Positive);
        Assert.That(result.PeakKvUse, Is.LessThanOrEqualTo(1).And.GreaterThan(0.9));
    }

    [Test]
    public void Agents_find_what_was_said_before_where_the_router_sends_them_back()
    {
        AgentWorkload load = new(256, 4, new(40, 60), new(20, 30));
        SimulationResult result = Run(4, load.Make, 60, rate: 5, Routing.Conversation);

        Assert.That(result.Requests, Is.EqualTo(240));
        Assert.That(result.CachedTokens / (double)result.InputTokens, Is.GreaterThan(0.6));
    }

    [Test]
    public void Turns_that_go_elsewhere_find_less()
    {
        AgentWorkload load = new(256, 4, new(400, 400), new(20, 30));
        SimulationResult stays = Run(4, load.Make, 60, rate: 5, Routing.Conversation), moves = Run(4, load.Make, 60, rate: 5, Routing.LeastLoaded);

        Assert.That(moves.CachedTokens, Is.LessThan(stays.CachedTokens));
    }

    [Test]
    public void Senders_wait_where_concurrency_is_limited()
    {
        SyntheticWorkload load = new(new(16, 16), new(10, 10), 0);
        SimulationResult result = Run(1, load.Make, 50, double.PositiveInfinity, Routing.LeastLoaded, maxConcurrency: 5);

        Assert.That((result.Requests, result.Steps), Is.EqualTo((50, 100L)), "ten times five requests of ten steps");
        Assert.That(result.TimeToFirstToken.Percentile(100), Is.EqualTo(0.01).Within(1e-9), "the wait is not the server's");
    }

    [Test]
    public void Gaps_are_counted_whoever_is_preempted()
    {
        SimulationResult result = Run(1, new SyntheticWorkload(new(64, 64), new(200, 200), 0), 40, double.PositiveInfinity, kvTokens: 4096);

        Assert.That(result.InterTokenLatency.Count, Is.EqualTo(40 * 199));
        Assert.That(result.InterTokenLatency.Percentile(50), Is.EqualTo(0.01).Within(1).Percent);
        Assert.That(result.InterTokenLatency.Mean, Is.EqualTo(result.TimePerToken.Mean).Within(1e-9), "all answers are of one length");
    }

    [Test]
    public void What_would_never_fit_is_refused() =>
        Assert.That(
            () => Run(1, new SyntheticWorkload(new(5000, 5000), new(1, 1), 0), 1, double.PositiveInfinity, kvTokens: 4096),
            Throws.ArgumentException.With.Message.Contains("does not fit"));

    [Test]
    public void Nobody_arrives_before_their_time()
    {
        SimulationResult result = Run(1, new SyntheticWorkload(new(16, 16), new(2, 2), 0), 20, rate: 2);

        Assert.That(result.Seconds, Is.InRange(4, 30), "twenty arrivals at two a second");
        Assert.That(result.TimeToFirstToken.Percentile(0), Is.GreaterThanOrEqualTo(0.01 - 1e-9));
        Assert.That(result.BusyShare, Is.LessThan(0.2));
    }

    private static SimulationResult Run(int replicas, SyntheticWorkload load, int count, double rate, int kvTokens = 1 << 20) =>
        Run(replicas, load.Make, count, rate, Routing.LeastLoaded, kvTokens);

    private static SimulationResult Run(
        int replicas, Func<int, TokenSource, Random, IEnumerable<Conversation>> load, int count, double rate, Routing routing,
        int kvTokens = 1 << 20, int maxConcurrency = int.MaxValue)
    {
        Random random = new(1);
        EngineOptions options = new() { TokenBudget = 8192, MaxSequences = 256, StepTimeTarget = TimeSpan.Zero };
        Cluster cluster = new([.. Enumerable.Range(0, replicas).Select(_ => new Replica(options, kvTokens, new TenMilliseconds()))], routing, maxConcurrency);
        return cluster.Run(load(count, new TokenSource(0, 1000, 1), random), ArrivalTimes.Draw(count, rate, 1, random));
    }

    private sealed class TenMilliseconds : IStepCost
    {
        public double Seconds(in StepSize step) => 0.01;
    }
}
