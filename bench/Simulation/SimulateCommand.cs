using System.CommandLine;
using System.Diagnostics;
using System.Globalization;

namespace LlamaServe.Bench.Simulation;

/// <summary><c>simulate</c>: what GPUs that are not here would do, by the engine's own scheduler and KV cache in simulated time.</summary>
internal static class SimulateCommand
{
    public static Command Create()
    {
        Option<string?> json = new("--json") { Description = "File for the prediction." };
        Command command = new("simulate", "Predict throughput, latency and cost of GPUs by the real scheduler over a cost model.") { json, CheckCommand.Create() };
        foreach (Option option in SimulateArguments.All)
        {
            command.Add(option);
        }

        command.SetAction(parsed =>
        {
            long started = Stopwatch.GetTimestamp();
            SimulationReport report = SimulateArguments.Read(parsed).Run();
            report.WriteTable(Console.Out);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"simulated in {Stopwatch.GetElapsedTime(started).TotalSeconds:F1} s"));
            if (parsed.GetValue(json) is { } path)
            {
                ResultFile.WriteFields(path, report.ToJson());
            }
        });
        return command;
    }
}
