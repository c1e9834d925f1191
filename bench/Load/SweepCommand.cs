using System.CommandLine;
using LlamaServe.Bench.Cost;

namespace LlamaServe.Bench.Load;

/// <summary><c>sweep</c>: the same load at growing concurrency, or the largest rate that keeps a constraint.</summary>
internal static class SweepCommand
{
    private const double RatePrecision = 0.05;
    private const int MostRequests = 1_000_000;

    public static Command Create()
    {
        Option<int[]> concurrency = new("--concurrency")
        {
            Description = "Requests in flight, one run each.",
            AllowMultipleArgumentsPerToken = true,
            DefaultValueFactory = _ => [1, 2, 4, 8, 16, 32, 64],
        };
        Option<int> rounds = new("--rounds") { Description = "Requests of a run for each one in flight.", DefaultValueFactory = _ => 8 };
        Option<int> seconds = new("--seconds")
        {
            Description = "How long requests come at each rate that is tried; MLPerf asks for 600.",
            DefaultValueFactory = _ => 60,
        };
        Option<string?> constraint = new("--constraint")
        {
            Description = $"Find the largest rate that keeps the 99th percentiles of {string.Join(", ", LatencyConstraint.Known.Select(known => known.Name))}.",
        };
        Command command = new("sweep", "Trade throughput against each reader's speed.") { concurrency, rounds, constraint, seconds };
        foreach (Option option in ServeArguments.All.Concat(PriceArguments.All))
        {
            command.Add(option);
        }

        command.SetAction((parsed, cancellationToken) =>
        {
            ServeOptions options = ServeArguments.Read(parsed);
            (HardwarePrice? price, int devices) = PriceArguments.Read(parsed);
            return parsed.GetValue(constraint) is { } name
                ? FindRateAsync(options, LatencyConstraint.Named(name), parsed.GetValue(seconds), cancellationToken)
                : SweepAsync(options, parsed.GetRequiredValue(concurrency), parsed.GetValue(rounds), price, devices, cancellationToken);
        });
        return command;
    }

    private static async Task SweepAsync(
        ServeOptions options, int[] concurrency, int rounds, HardwarePrice? price, int devices, CancellationToken cancellationToken)
    {
        if (rounds < 1 || concurrency.Any(requests => requests < 1))
        {
            throw new ArgumentException("--rounds and --concurrency are at least 1");
        }

        Console.WriteLine(SweepPoint.Header);
        List<SweepPoint> points = [];
        foreach (int requests in concurrency)
        {
            ServeOptions run = options with { MaxConcurrency = requests, Conversations = rounds * requests, Rate = double.PositiveInfinity, IdSeed = Random.Shared.Next() };
            ServeResult result = await ServeRun.RunAsync(run, TextWriter.Null, cancellationToken);
            points.Add(SweepPoint.Of(requests, result, devices, price?.DollarsPerHour));
            Console.WriteLine(points[^1].Row());
        }

        IReadOnlyList<SweepPoint> front = SweepPoint.ParetoFront(points);
        Console.WriteLine($"Pareto front: concurrency {string.Join(", ", front.Select(point => point.Concurrency))}");
        Console.WriteLine(ResultFile.Save("sweep", limits: null, new { Load = Description(options), Price = price, Devices = devices, Points = points, Front = front }));
    }

    private static async Task FindRateAsync(ServeOptions options, LatencyConstraint constraint, int seconds, CancellationToken cancellationToken)
    {
        if (seconds < 1)
        {
            throw new ArgumentException("--seconds is at least 1");
        }

        double first = double.IsPositiveInfinity(options.Rate) ? 1 : options.Rate;
        double found = await RateSearch.FindAsync(
            async rate =>
            {
                ServeResult result = await ServeRun.RunAsync(options with
                {
                    Rate = rate,
                    Conversations = Math.Max(1, (int)Math.Min(rate * seconds, MostRequests)),
                    MaxConcurrency = null,
                    IdSeed = Random.Shared.Next(),
                }, TextWriter.Null, cancellationToken);
                // Requests that come faster than they are sent are another rate's.
                bool holds = constraint.Holds(result) && rate * seconds <= MostRequests;
                Console.WriteLine(
                    $"{rate:F2} requests/s: TTFT p99 {1000 * result.TimeToFirstToken.Percentile(99):F0} ms, TPOT p99 {1000 * result.TimePerToken.Percentile(99):F1} ms, "
                    + $"{result.Failed} failed: {(holds ? "held" : "missed")}");
                return holds;
            },
            first, RatePrecision);
        Console.WriteLine($"{constraint.Name}: {found:F2} requests/s");
        Console.WriteLine(ResultFile.Save($"rate-{constraint.Name}", limits: null, new { Load = Description(options), Constraint = constraint, Seconds = seconds, RequestsPerSecond = found }));
    }

    private static object Description(ServeOptions options) => new
    {
        options.Workload,
        Input = options.Input.ToString(),
        Output = options.Output.ToString(),
        options.SharedPrefix,
        options.Conversations,
        options.Seed,
    };
}
