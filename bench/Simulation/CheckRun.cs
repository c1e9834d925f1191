using System.Diagnostics;
using LlamaServe.Bench.Frontend;
using LlamaServe.Bench.Load;
using LlamaServe.Bench.Offline;
using LlamaServe.Engine;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Server;

namespace LlamaServe.Bench.Simulation;

/// <summary>
/// Runs the engine, fits the cost of its steps on one load, and replays another load in simulated time: as often as there are rounds,
/// so that what other processes do to the machine shows.
/// </summary>
/// <param name="Requests">Of each load.</param>
/// <param name="Load">Part of the rate that the engine manages at most, of the load that comes by and by.</param>
internal sealed record CheckRun(int Requests, LengthDistribution Input, LengthDistribution Output, double Load, int Rounds)
{
    private static readonly int[] CalibrationConcurrency = [1, 2, 4, 8, 16, 64];

    /// <exception cref="ArgumentException">A value is out of range.</exception>
    /// <exception cref="InvalidOperationException">A request failed.</exception>
    public async Task<CheckResult> RunAsync(ServerOptions server, TextWriter output, CancellationToken cancellationToken)
    {
        if (Requests < 2 || Rounds < 1 || Load is not (> 0 and <= 1))
        {
            throw new ArgumentException("--count is at least 2, --rounds at least 1, --load above 0 and at most 1");
        }

        using StepRecorder recorder = new();
        await using LlamaEngine engine = await OfflineEngine.StartAsync(server, recorder.Around, recorder, cancellationToken);
        using EngineClient client = new(engine);
        List<SimulationCheck> checks = [];
        List<MeasuredStep> steps = [];
        // The first round, which is not kept, is the warm-up.
        for (int round = 0; round <= Rounds; round++)
        {
            Session session = new(this, engine, client, recorder, server.Engine, round);
            SimulationCheck[] done = await session.RunAsync(cancellationToken);
            if (round > 0)
            {
                checks.AddRange(done);
                steps.AddRange(session.Steps);
                CheckTable.Write(done, output);
            }
        }

        StepCostFile cost = new(server.ModelFileName, engine.Limits!.KvCacheTokens, FittedStepCost.Fit(steps).Weights);
        return new CheckResult(checks, steps.Count, cost);
    }

    private sealed class Session(CheckRun run, LlamaEngine engine, EngineClient client, StepRecorder recorder, EngineOptions options, int round)
    {
        private readonly TokenSource _ids = OfflineEngine.Ids(engine, round);
        private readonly Random _random = new(round);
        private readonly List<MeasuredStep> _steps = [];

        public IReadOnlyList<MeasuredStep> Steps => _steps;

        public async Task<SimulationCheck[]> RunAsync(CancellationToken cancellationToken)
        {
            recorder.Take();
            foreach (int concurrency in CalibrationConcurrency)
            {
                await SendAsync(Make(Math.Max(8, concurrency)), double.PositiveInfinity, concurrency, cancellationToken);
            }

            _steps.AddRange(recorder.Take());
            SimulationCheck atOnce = await CompareAsync("all at once", double.PositiveInfinity, cancellationToken);
            double rate = run.Load * atOnce.Measured.OutputTokensPerSecond / (0.5 * (run.Output.Low + run.Output.High));
            return [atOnce, await CompareAsync("by and by", rate, cancellationToken)];
        }

        /// <summary>Predicts from the steps of all loads before this one; and from its own, which leaves out that the machine changes.</summary>
        private async Task<SimulationCheck> CompareAsync(string name, double rate, CancellationToken cancellationToken)
        {
            Conversation[] requests = Make(run.Requests);
            ProcessorClock processor = new();
            long start = Stopwatch.GetTimestamp();
            IReadOnlyCollection<RequestRecord> records = await SendAsync(requests, rate, maxConcurrency: null, cancellationToken);
            double? others = processor.OthersShare(clients: 0, Stopwatch.GetElapsedTime(start).TotalSeconds);
            Trace trace = Trace.Of(requests, records);
            ServingFigures predicted = Replay(trace, _steps);
            MeasuredStep[] own = recorder.Take();
            _steps.AddRange(own);
            return new SimulationCheck(name, round, ServingFigures.Of(records), predicted, Replay(trace, own), others);
        }

        private ServingFigures Replay(Trace trace, IReadOnlyList<MeasuredStep> steps)
        {
            Replica replica = new(options, engine.Limits!.KvCacheTokens, FittedStepCost.Fit(steps), Learned(steps));
            return ServingFigures.Of(new Cluster([replica], Routing.LeastLoaded).Run(trace.Conversations, trace.Arrivals));
        }

        private async Task<IReadOnlyCollection<RequestRecord>> SendAsync(
            Conversation[] requests, double rate, int? maxConcurrency, CancellationToken cancellationToken)
        {
            LoadGenerator load = new(client, maxConcurrency, tokenizer: null);
            await load.RunAsync(requests, ArrivalTimes.Draw(requests.Length, rate, 1, _random), cancellationToken);
            return load.Records.FirstOrDefault(record => record.Error is not null) is { } failed
                ? throw new InvalidOperationException($"A request failed: {failed.Error}")
                : load.Records;
        }

        private Conversation[] Make(int count) => [.. new SyntheticWorkload(run.Input, run.Output, 0).Make(count, _ids, _random)];

        // The engine sizes its steps by what it has learned of their times.
        private static StepCostModel Learned(IReadOnlyList<MeasuredStep> steps)
        {
            StepCostModel costs = new();
            foreach (MeasuredStep step in steps)
            {
                costs.Observe(step.Size.Tokens, step.Size.Attended, step.Seconds);
            }

            return costs;
        }
    }
}
