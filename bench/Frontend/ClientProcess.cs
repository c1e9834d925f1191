using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace LlamaServe.Bench.Frontend;

/// <summary>
/// The clients in a process of their own, so that their garbage is not the server's: this program again, with a verb that
/// only <see cref="RunAsync"/> uses. It writes a line when measuring begins and one with what the clients received.
/// </summary>
internal static class ClientProcess
{
    private const string Measuring = "measuring";

    private static readonly Option<string> Address = new("--address") { Required = true };
    private static readonly Option<string> Load = new("--load") { Required = true };
    private static readonly Option<double> WarmUp = new("--warm-up") { Required = true };
    private static readonly Option<double> Duration = new("--duration") { Required = true };
    private static readonly Option<double?> Rate = new("--rate");
    private static readonly Option<int> Clients = new("--clients") { Required = true };
    private static readonly Option<int> Connections = new("--connections") { Required = true };

    public static Command CreateCommand()
    {
        Command command = new("clients", "The clients' process; started by the measurement.") { Address, Load, WarmUp, Duration, Rate, Clients, Connections };
        command.Hidden = true;
        command.SetAction(async (parsed, cancellationToken) =>
        {
            ClientLoad load = new(
                parsed.GetValue(Address)!, parsed.GetValue(Connections), parsed.GetValue(Clients),
                FrontendLoad.Named(parsed.GetValue(Load)!).Request, parsed.GetValue(Rate));
            LoadResult result = await load.RunAsync(
                TimeSpan.FromSeconds(parsed.GetValue(WarmUp)),
                TimeSpan.FromSeconds(parsed.GetValue(Duration)),
                () => Console.WriteLine(Measuring),
                cancellationToken);
            Console.WriteLine(JsonSerializer.Serialize(result));
        });
        return command;
    }

    /// <summary>Runs the process to its end.</summary>
    /// <param name="onMeasuring">Called when its warm-up is over.</param>
    /// <exception cref="InvalidOperationException">It failed; what it wrote to the error stream is on this program's.</exception>
    public static async Task<LoadResult> RunAsync(
        string address, FrontendLoad load, FrontendTimes times, int clients, int connections, Action onMeasuring, CancellationToken cancellationToken)
    {
        ProcessStartInfo start = new(Environment.ProcessPath!, Arguments(address, load, times, clients, connections)) { RedirectStandardOutput = true };
        using Process process = Process.Start(start)!;
        // Clients are other machines elsewhere: here they must not take the processor from a server whose threads are stopped.
        process.PriorityClass = ProcessPriorityClass.BelowNormal;
        using CancellationTokenRegistration kill = cancellationToken.Register(() => process.Kill());
        LoadResult? result = null;
        while (await process.StandardOutput.ReadLineAsync(cancellationToken) is { } line)
        {
            if (line == Measuring)
            {
                onMeasuring();
            }
            else
            {
                result = JsonSerializer.Deserialize<LoadResult>(line);
            }
        }

        await process.WaitForExitAsync(cancellationToken);
        return process.ExitCode == 0 && result is { } received
            ? received
            : throw new InvalidOperationException($"The clients' process ended with code {process.ExitCode}.");
    }

    private static IEnumerable<string> Arguments(string address, FrontendLoad load, FrontendTimes times, int clients, int connections)
    {
        // Started by the dotnet host, the program is its first argument.
        string[] program = Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? [Environment.GetCommandLineArgs()[0]] : [];
        return
        [
            .. program, "frontend", "clients", Address.Name, address, Load.Name, load.Name,
            .. times.IsPaced ? [Rate.Name, Text(load.GoalPerSecond)] : Array.Empty<string>(),
            WarmUp.Name, Text(times.WarmUp.TotalSeconds), Duration.Name, Text(times.Duration.TotalSeconds),
            Clients.Name, Text(clients), Connections.Name, Text(connections),
        ];
    }

    private static string Text(IFormattable number) => number.ToString(null, CultureInfo.InvariantCulture);
}

/// <summary>How long a load runs before it is measured, and while.</summary>
/// <param name="IsPaced">Whether requests come at the goal's rate instead of as fast as they are answered.</param>
internal readonly record struct FrontendTimes(TimeSpan WarmUp, TimeSpan Duration, bool IsPaced);
