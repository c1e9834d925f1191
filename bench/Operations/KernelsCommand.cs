using System.CommandLine;
using LlamaServe.Bench.Machine;
using LlamaServe.Bench.Models;
using LlamaServe.Kernels;

namespace LlamaServe.Bench.Operations;

/// <summary><c>kernels</c>: every operation of the CPU backend beside floor and peer.</summary>
internal static class KernelsCommand
{
    /// <summary>Suite's name in results and baselines.</summary>
    public const string Suite = "kernels";

    private static readonly TimeSpan Turn = TimeSpan.FromMilliseconds(40), QuickTurn = TimeSpan.FromMilliseconds(4);

    public static Command Create()
    {
        Option<OperationGroup[]> groups = Many("--operations", "Parts of the table.", Enum.GetValues<OperationGroup>());
        Option<WeightFormat[]> formats = Many("--formats", "Weights of the products; experts take the first.", WeightFormat.Q4_0, WeightFormat.Q8_0, WeightFormat.BF16);
        Option<int[]> rows = Many("--rows", "Rows of activations.", 1, 8, 128);
        Option<int> threads = new("--threads") { Description = "Threads of both sides.", DefaultValueFactory = _ => Environment.ProcessorCount };
        Option<int> rounds = new("--rounds") { Description = "Turns of each side; medians are reported.", DefaultValueFactory = _ => 5 };
        Option<bool> quick = new("--quick") { Description = "Short turns: to try it, not to quote it." };
        Option<string?> json = new("--json") { Description = "File for the result instead of one in bench/results." };
        Command command = new("kernels", "Measure every operation of the CPU beside its floor and PyTorch; for GPUs see gpu.")
        {
            groups, formats, rows, threads, rounds, quick, json,
        };
        command.SetAction(parsed =>
        {
            int[] rowCounts = parsed.GetRequiredValue(rows);
            if (rowCounts.Any(count => count < 1) || parsed.GetValue(rounds) < 1 || parsed.GetValue(threads) < 1)
            {
                throw new ArgumentException("--rows, --rounds and --threads are at least 1");
            }

            string path = ResultFile.Reserve(parsed.GetValue(json), Suite);
            TurnClock clock = new(parsed.GetValue(rounds), parsed.GetValue(quick) ? QuickTurn : Turn);
            KernelsRun run = new(new LlamaShape(), parsed.GetValue(threads), clock, Console.Out) { Formats = parsed.GetRequiredValue(formats), Rows = rowCounts };
            (MachineLimits limits, IReadOnlyList<OperationRow> measured) = run.Measure(parsed.GetRequiredValue(groups));
            Console.WriteLine($"Best of the limits before and after: {limits}. The file's floors are by these.");
            ResultFile.WriteTo(path, new { Suite, Rows = measured }, limits);
            Console.WriteLine(path);
        });
        return command;
    }

    private static Option<T[]> Many<T>(string name, string description, params T[] values) => new(name)
    {
        Description = description,
        AllowMultipleArgumentsPerToken = true,
        DefaultValueFactory = _ => values,
    };
}
