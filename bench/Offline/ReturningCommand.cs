using System.CommandLine;
using System.Globalization;
using LlamaServe.Server.Commands;

namespace LlamaServe.Bench.Offline;

/// <summary><c>returning</c>: what host memory behind the prefix cache does for prompts that come back.</summary>
internal static class ReturningCommand
{
    public static Command Create()
    {
        Option<int> prompts = Count("--prompts", 32, "Prompts."), tokens = Count("--tokens", 400, "Tokens of each."), rounds = Count("--rounds", 8, "How often each comes back.");
        Option<string?> json = new("--json") { Description = "File for the result." };
        ModelOptions model = new();
        Command command = new("returning", "Measure the time to first token of prompts that come back, with and without --kv-host-gb, in this process.")
        {
            prompts, tokens, rounds, json,
        };
        model.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            ReturningRun run = new(parsed.GetValue(prompts), parsed.GetValue(tokens), parsed.GetValue(rounds));
            ReturningResult result = await run.MeasureAsync(model.Bind(parsed), cancellationToken);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{run.Prompts} prompts of {run.Tokens} tokens over {result.KvTokens} on the device and {result.HostTokens} in host memory: first token of one that is new after {1e3 * result.FirstWithout:F2} ms, with host memory {1e3 * result.FirstWith:F2}; "
                + $"of one that comes back {1e3 * result.LaterWithout:F2} ms ({result.CachedWithout:P0} cached), with host memory {1e3 * result.LaterWith:F2} ({result.CachedWith:P0}): ratio {result.Ratio:F3}; {result.BlocksSwappedOut} blocks out, {result.BlocksSwappedIn} in"));
            if (parsed.GetValue(json) is { } path)
            {
                ResultFile.WriteTo(path, result);
            }
        });
        return command;
    }

    private static Option<int> Count(string name, int value, string description) => new(name) { Description = description, DefaultValueFactory = _ => value };
}
