using LlamaServe.Bench.Frontend;
using LlamaServe.Bench.Load;
using LlamaServe.Bench.Simulation;
using LlamaServe.Engine;
using LlamaServe.Engine.Requests;
using LlamaServe.Models.Tokenization;
using LlamaServe.Server;

namespace LlamaServe.Bench.Tests.Simulation;

/// <summary>The real engine, loop and all, over a device whose steps take made-up time by a clock of its own, beside its simulation.</summary>
internal sealed class EngineFidelityTests
{
    private const int ContextLength = 1024;

    private Tokenizer _tokenizer = null!;

    [OneTimeSetUp]
    public void LoadTokenizer() => _tokenizer = ServeRun.LoadTokenizer(ServerOptions.BundledModelPath);

    [Test]
    public async Task The_simulation_takes_the_engines_steps([Values(1 << 16, 3072)] int kvTokens, [Values(0, 4)] int stepTime)
    {
        EngineOptions options = new() { TokenBudget = 256, MaxSequences = 32, StepTimeTarget = TimeSpan.FromMilliseconds(stepTime) };
        Conversation[] requests = Requests(80, seed: 1);
        (MeasuredStep[] steps, GenerationTimings[] timings) = await RunAsync(requests, options, kvTokens);
        NotedCost noted = new(new RoundedCost());
        SimulationResult simulated = Simulate(requests, options, kvTokens, noted);

        Assert.That(noted.Sizes, Is.EqualTo(steps.Select(step => step.Size)));
        Assert.That(simulated.Preemptions, kvTokens == 3072 ? Is.Positive : Is.Zero);
        Assert.That(simulated.Preemptions, Is.EqualTo(timings.Sum(timing => timing.Preemptions)));
        Assert.That(simulated.Seconds, Is.EqualTo(steps.Sum(step => step.Seconds)).Within(1e-6));
        Assert.That(simulated.TimeToFirstToken.Mean, Is.EqualTo(timings.Average(timing => timing.TimeToFirstToken.TotalSeconds)).Within(1e-6));
        Assert.That(
            simulated.InterTokenLatency.Mean * simulated.InterTokenLatency.Count, Is.EqualTo(timings.Sum(timing => timing.Decode.TotalSeconds)).Within(1e-4));
    }

    [Test]
    public async Task What_is_fitted_on_one_load_predicts_another()
    {
        EngineOptions options = new() { TokenBudget = 256, MaxSequences = 32 };
        (MeasuredStep[] known, _) = await RunAsync(Requests(60, seed: 2), options, 1 << 16);
        Conversation[] requests = Requests(100, seed: 3);
        (MeasuredStep[] steps, GenerationTimings[] timings) = await RunAsync(requests, options, 1 << 16);
        SimulationResult predicted = Simulate(requests, options, 1 << 16, FittedStepCost.Fit(known));

        Assert.That(predicted.Seconds, Is.EqualTo(steps.Sum(step => step.Seconds)).Within(2).Percent);
        Assert.That(predicted.TimeToFirstToken.Mean, Is.EqualTo(timings.Average(timing => timing.TimeToFirstToken.TotalSeconds)).Within(2).Percent);
        Assert.That(predicted.TimePerToken.Mean, Is.EqualTo(MeanTimePerToken(requests, timings)).Within(2).Percent);
    }

    private static Conversation[] Requests(int count, int seed) =>
        [.. new SyntheticWorkload(new(16, 300), new(2, 100), 0.2).Make(count, new TokenSource(300, 4000, seed), new Random(seed))];

    private static double MeanTimePerToken(Conversation[] requests, GenerationTimings[] timings) =>
        requests.Zip(timings).Average(pair => pair.Second.Decode.TotalSeconds / (pair.First.Turns[0].OutputTokens - 1));

    // The first request alone is there when the first step begins, as in the engine.
    private static SimulationResult Simulate(Conversation[] requests, EngineOptions options, int kvTokens, IStepCost cost) =>
        new Cluster([new Replica(options, kvTokens, cost)], Routing.LeastLoaded)
            .Run(requests, [0, .. Enumerable.Repeat(1e-9, requests.Length - 1)]);

    private async Task<(MeasuredStep[] Steps, GenerationTimings[] Timings)> RunAsync(Conversation[] requests, EngineOptions options, int kvTokens)
    {
        StepClock clock = new();
        using StepRecorder recorder = new();
        using ManualResetEventSlim isStepping = new(), mayGoOn = new();
        NullRunner runner = new(_tokenizer, ContextLength, options.MaxSequences + options.PromptLogProbRows, kvTokens, plan =>
        {
            isStepping.Set();
            mayGoOn.Wait();
            clock.Advance(new RoundedCost().Seconds(StepSize.Of(plan)));
        });
        await using LlamaEngine engine = new(() => recorder.Around(runner), options, clock, meters: recorder);
        await engine.StartAsync();
        List<Task<GenerationTimings>> running = [ReadAsync(engine, requests[0])];
        isStepping.Wait();
        running.AddRange(requests[1..].Select(request => ReadAsync(engine, request)));
        mayGoOn.Set();
        GenerationTimings[] timings = await Task.WhenAll(running);
        await engine.DrainAsync(TimeSpan.FromMinutes(1));
        return (recorder.Take(), timings);
    }

    private static async Task<GenerationTimings> ReadAsync(LlamaEngine engine, Conversation request)
    {
        Generation generation = engine.Submit(new GenerationRequest
        {
            PromptTokenIds = request.Turns[0].Input,
            MaxTokens = request.Turns[0].OutputTokens,
            Sampling = SamplingParameters.Greedy,
            IgnoreEos = true,
            ReturnText = false,
        }).Generation!;
        await foreach (GeneratedToken token in generation.Tokens.ReadAllAsync())
        {
            Assert.That(token.TokenId, Is.Not.Negative);
        }

        return generation.Summary!.Timings;
    }

    /// <summary>Goes on by steps alone.</summary>
    private sealed class StepClock : TimeProvider
    {
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Volatile.Read(ref _ticks);

        public void Advance(double seconds) => Interlocked.Add(ref _ticks, (long)Math.Round(seconds * TimeSpan.TicksPerSecond));
    }

    /// <summary>Not what can be fitted exactly (more than 32 tokens cost less each), and in whole ticks of the clock.</summary>
    private sealed class RoundedCost : IStepCost
    {
        public double Seconds(in StepSize step) =>
            Math.Round(1e7 * (1e-3 + 3e-5 * Math.Min(step.Tokens, 32) + 2.8e-5 * Math.Max(0, step.Tokens - 32) + 1e-5 * step.Sequences + 1e-8 * step.Attended)) / 1e7;
    }
}
