using System.CommandLine;
using System.Globalization;

namespace LlamaServe.Bench.Generator;

/// <summary><c>generator</c>: the load generator's own overhead, on a server whose tokens come at known times.</summary>
internal static class GeneratorCommand
{
    public static Command Create()
    {
        Option<double> rate = new("--tokens-per-second") { DefaultValueFactory = _ => 50_000, Description = "That the server makes." };
        Option<double> step = new("--step") { DefaultValueFactory = _ => 4, Description = "Milliseconds between tokens of a stream." };
        Option<double> duration = new("--duration") { DefaultValueFactory = _ => 20, Description = "Seconds." };
        Option<int> connections = new("--connections") { DefaultValueFactory = _ => 4, Description = "HTTP/2 connections." };
        Option<bool> save = new("--save") { Description = "Keep the result in bench/results." };
        Command command = new("generator", "Measure what the load generator costs and adds to what it measures.")
        {
            rate, step, duration, connections, save, PacedServer.CreateCommand(),
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            GeneratorRun run = new(
                parsed.GetValue(rate), TimeSpan.FromMilliseconds(parsed.GetValue(step)), TimeSpan.FromSeconds(parsed.GetValue(duration)),
                parsed.GetValue(connections));
            GeneratorResult result = await run.MeasureAsync(cancellationToken);
            Write(result, Console.Out);
            if (parsed.GetValue(save))
            {
                Console.WriteLine(ResultFile.Save("generator", limits: null, result));
            }
        });
        return command;
    }

    private static void Write(GeneratorResult result, TextWriter output)
    {
        Line($"{result.TokensPerSecond:F0} tokens/s received, {result.TokensPerPiece:F3} a piece");
        Line($"the generator kept {result.Processors:F2} processors busy, {result.MicrosecondsPerToken:F1} µs a token");
        Line($"requests sent too late by ms: {result.SendLag}");
        Line($"between pieces, ms: mean {result.MeanBetweenPieces:F3} {result.BetweenPieces}");
        Line($"between the server's steps, ms: mean {result.BetweenSteps.Mean:F3} p50 {result.BetweenSteps.P50:F2} p99 {result.BetweenSteps.P99:F2}");
        if (result.OthersShare is { } others)
        {
            Line($"all other processes, the server among them, had {others:P0} of the processors");
        }

        void Line(FormattableString text) => output.WriteLine(text.ToString(CultureInfo.InvariantCulture));
    }
}
