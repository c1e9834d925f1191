using System.CommandLine;
using System.Runtime.InteropServices;
using LlamaServe.Server;

namespace LlamaServe.Bench.Serving;

/// <summary><c>start</c>: how soon the published server answers, and what its first request waits for.</summary>
internal static class StartCommand
{
    public static Command Create()
    {
        Option<string> model = new("--model")
        {
            Description = "A snapshot's folder or a GGUF file [default: the bundled model].",
            DefaultValueFactory = _ => ServerOptions.BundledModelPath,
        };
        Option<int> rounds = new("--rounds") { Description = "Starts; medians are reported.", DefaultValueFactory = _ => 9 };
        Option<bool> readyToRun = new("--ready-to-run") { Description = "Publish with ahead-of-time code, for this platform only." };
        Command command = new("start", "Measure the published server from process start to its first tokens.") { model, rounds, readyToRun };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            bool isCompiled = parsed.GetValue(readyToRun);
            string[] properties = isCompiled
                ? ["-r", RuntimeInformation.RuntimeIdentifier]
                : [];
            string program = await PublishedServer.PublishAsync(properties, cancellationToken);
            List<StartTimes> times = [];
            // The first round warms up this client and the file cache.
            for (int round = 0; round <= parsed.GetValue(rounds); round++)
            {
                times.Add(await StartTimes.MeasureAsync(program, parsed.GetRequiredValue(model), cancellationToken));
                Console.WriteLine(times[^1]);
            }

            times.RemoveAt(0);
            Console.WriteLine($"median: {StartTimes.Median(times)}");
            Console.WriteLine(ResultFile.Save(isCompiled ? "start-ready-to-run" : "start", limits: null, times));
        });
        return command;
    }
}
