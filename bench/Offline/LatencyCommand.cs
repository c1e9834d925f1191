using System.CommandLine;
using System.Globalization;
using LlamaServe.Bench.Load;
using LlamaServe.Server.Commands;

namespace LlamaServe.Bench.Offline;

/// <summary><c>latency</c>: how long the engine takes for one batch of fixed lengths; the fields of <c>vllm bench latency</c>.</summary>
internal static class LatencyCommand
{
    public static Command Create()
    {
        Option<int> batch = Count("--batch-size", 8, "Requests queued at once."), input = Count("--input-len", 32, "Tokens of a prompt.");
        Option<int> output = Count("--output-len", 128, "Tokens of an answer.");
        Option<int> warmUps = Count("--num-iters-warmup", 10, "Batches before the measured ones."), batches = Count("--num-iters", 30, "Batches that are measured.");
        Option<string?> json = new("--json", "--output-json") { Description = "File for the result." };
        ModelOptions model = new();
        Command command = new("latency", "Measure how long the engine takes for one batch, in this process.") { batch, input, output, warmUps, batches, json };
        model.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string? path = parsed.GetValue(json) is { } file ? ResultFile.Reserve(file, "latency") : null;
            LatencyRun run = new(parsed.GetValue(batch), parsed.GetValue(input), parsed.GetValue(output), parsed.GetValue(warmUps), parsed.GetValue(batches));
            double[] seconds = await run.MeasureAsync(model.Bind(parsed), cancellationToken);
            Distribution all = new(seconds);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{run.Batch} requests of {run.Input} + {run.Output} tokens: mean {all.Mean:F4} s, p50 {all.Median:F4}, p90 {all.Percentile(90):F4}, p99 {all.Percentile(99):F4}"));
            if (path is not null)
            {
                ResultFile.WriteFields(path, LatencyRun.Fields(seconds));
            }
        });
        return command;
    }

    private static Option<int> Count(string name, int value, string description) => new(name) { Description = description, DefaultValueFactory = _ => value };
}
