using System.CommandLine;
using LlamaServe.Bench.Cost;

namespace LlamaServe.Bench.Load;

/// <summary><c>sweep</c>: the same load at growing concurrency or rate, or the largest rate that keeps a constraint.</summary>
internal static class SweepCommand
{
    private static readonly Option<int[]> Concurrency = new("--concurrency")
    {
        Description = "Requests in flight, one run each; by default 1 2 4 8 16 32 64 where no --rates are given.",
        AllowMultipleArgumentsPerToken = true,
    };

    private static readonly Option<double[]> Rates = new("--rates")
    {
        Description = "Conversations a second, one run of --seconds each.",
        AllowMultipleArgumentsPerToken = true,
    };

    private static readonly Option<int> Rounds = new("--rounds") { Description = "Requests of a run for each one in flight.", DefaultValueFactory = _ => 8 };

    private static readonly Option<int> Seconds = new("--seconds")
    {
        Description = "How long requests come at each rate; MLPerf asks for 600.",
        DefaultValueFactory = _ => 60,
    };

    private static readonly Option<string?> Constraint = new("--constraint")
    {
        Description = $"Find the largest rate that keeps the 99th percentiles of {string.Join(", ", LatencyConstraint.Known.Select(known => known.Name))}.",
    };

    private static readonly Option<double[]> Interactivity = new("--interactivity")
    {
        Description = "Output tokens a second of one reader at which throughput and price are told, between the measured points.",
        AllowMultipleArgumentsPerToken = true,
    };

    private static readonly Option<string?> SaveTo = new("--save") { Description = "File for the result; by default one in bench/results." };

    public static Command Create()
    {
        Command command = new("sweep", "Trade throughput against each reader's speed.") { Concurrency, Rates, Rounds, Constraint, Seconds, Interactivity, SaveTo };
        foreach (Option option in ServeArguments.All.Concat(PriceArguments.All))
        {
            command.Add(option);
        }

        command.SetAction(RunAsync);
        return command;
    }

    private static async Task RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        ServeOptions options = ServeArguments.Read(parsed);
        (HardwarePrice? price, int devices) = PriceArguments.Read(parsed);
        LatencyConstraint? constraint = parsed.GetValue(Constraint) is { } name ? LatencyConstraint.Named(name) : null;
        Check(parsed);
        string path = ResultFile.Reserve(parsed.GetValue(SaveTo), constraint is null ? "sweep" : $"rate-{constraint.Name}");
        Sweep sweep = new(options, devices, price?.DollarsPerHour, Console.Out);
        double? found = constraint is null ? null : await FindRateAsync(sweep, constraint, parsed.GetValue(Seconds), cancellationToken);
        if (constraint is null)
        {
            await MeasureAsync(sweep, parsed, cancellationToken);
        }

        IReadOnlyList<SweepPoint> front = SweepPoint.ParetoFront(sweep.Points);
        IReadOnlyList<InteractivityPrice> prices = sweep.PricesAt(parsed.GetValue(Interactivity) ?? []);
        ResultFile.WriteTo(path, new
        {
            Load = Description(options),
            Price = price,
            Devices = devices,
            Constraint = constraint,
            Seconds = parsed.GetValue(Seconds),
            RequestsPerSecond = found,
            Points = sweep.Points,
            Front = front,
            AtInteractivity = prices,
        });
        Console.WriteLine(path);
    }

    private static void Check(ParseResult parsed)
    {
        bool hasFault = (parsed.GetValue(Concurrency) ?? []).Any(requests => requests < 1) || (parsed.GetValue(Rates) ?? []).Any(rate => !(rate > 0))
            || (parsed.GetValue(Interactivity) ?? []).Any(speed => !(speed > 0)) || parsed.GetValue(Rounds) < 1 || parsed.GetValue(Seconds) < 1;
        if (hasFault)
        {
            throw new ArgumentException("--concurrency, --rounds and --seconds are at least 1, --rates and --interactivity above 0");
        }
    }

    private static async Task MeasureAsync(Sweep sweep, ParseResult parsed, CancellationToken cancellationToken)
    {
        double[] rates = parsed.GetValue(Rates) ?? [];
        int[] concurrency = parsed.GetValue(Concurrency) is { Length: > 0 } asked ? asked : rates.Length > 0 ? [] : [1, 2, 4, 8, 16, 32, 64];
        foreach (int requests in concurrency)
        {
            await sweep.RunAtConcurrencyAsync(requests, parsed.GetValue(Rounds), cancellationToken);
        }

        foreach (double rate in rates)
        {
            await sweep.RunAtRateAsync(rate, parsed.GetValue(Seconds), cancellationToken);
        }
    }

    private static async Task<double> FindRateAsync(Sweep sweep, LatencyConstraint constraint, int seconds, CancellationToken cancellationToken)
    {
        double found = await sweep.FindRateAsync(constraint, seconds, cancellationToken);
        Console.WriteLine($"{constraint.Name}: {found:F2} requests/s with these lengths; MLPerf's are those of {constraint.DataSet}");
        return found;
    }

    private static object Description(ServeOptions options) => new
    {
        options.Workload,
        Input = options.Input.ToString(),
        Output = options.Output.ToString(),
        options.SharedPrefix,
        options.Seed,
    };
}
