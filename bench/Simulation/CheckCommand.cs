using System.CommandLine;
using LlamaServe.Bench.Load;
using LlamaServe.Server.Commands;

namespace LlamaServe.Bench.Simulation;

/// <summary><c>simulate check</c>: a real run beside its simulation.</summary>
internal static class CheckCommand
{
    public static Command Create()
    {
        Option<int> count = new("--count") { DefaultValueFactory = _ => 200, Description = "Requests of each load." };
        Option<string> input = new("--input") { DefaultValueFactory = _ => "16-256", Description = "Prompt in tokens." };
        Option<string> output = new("--output") { DefaultValueFactory = _ => "16-128", Description = "Answer in tokens." };
        Option<double> load = new("--load") { DefaultValueFactory = _ => 0.5, Description = "Part of the engine's largest rate at which requests come by and by." };
        Option<int> rounds = new("--rounds") { DefaultValueFactory = _ => 5, Description = "Each fits anew and compares both loads." };
        Option<double> tolerance = new("--tolerance") { DefaultValueFactory = _ => 0.1, Description = "Part by which a median may be off; else the exit code is 1." };
        Option<string?> cost = new("--step-cost") { Description = "File for the fitted cost of steps, for simulate --step-cost." };
        Option<bool> save = new("--save") { Description = "Keep the result in bench/results." };
        ModelOptions model = new();
        Command command = new("check", "Run the engine here, fit the cost of its steps, and compare another run with its simulation.") { count, input, output, load, rounds, tolerance, cost, save };
        model.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            if (parsed.GetValue(tolerance) is not (>= 0 and < 1))
            {
                throw new ArgumentException("--tolerance is at least 0 and below 1");
            }

            CheckRun run = new(
                parsed.GetValue(count), LengthDistribution.Parse(parsed.GetRequiredValue(input)), LengthDistribution.Parse(parsed.GetRequiredValue(output)),
                parsed.GetValue(load), parsed.GetValue(rounds));
            CheckResult result = await run.RunAsync(model.Bind(parsed), Console.Out, cancellationToken);
            CheckTable.WriteMedians(result.Checks, Console.Out);
            if (parsed.GetValue(cost) is { } path)
            {
                result.Cost.Save(path);
            }

            if (parsed.GetValue(save))
            {
                Console.WriteLine(ResultFile.Save("simulation", limits: null, result));
            }

            return CheckTable.WriteMissed(result.Checks, parsed.GetValue(tolerance), Console.Out) ? 1 : 0;
        });
        return command;
    }
}
