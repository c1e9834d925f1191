using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using LlamaServe.Bench.Frontend;
using Microsoft.AspNetCore.Builder;

namespace LlamaServe.Bench.Generator;

/// <summary>
/// The server without a model, whose steps come at even times, in a process of its own: this program again, with a verb that only
/// <see cref="StartAsync"/> uses. It writes its address, and at the end, which is its input's, how its steps came.
/// </summary>
internal sealed class PacedServer : IAsyncDisposable
{
    private static readonly Option<double> Step = new("--step") { Required = true };

    private readonly Process _process;

    private PacedServer(Process process, Uri address)
    {
        _process = process;
        Address = address;
    }

    /// <summary>Of its gRPC port.</summary>
    public Uri Address { get; }

    public static Command CreateCommand()
    {
        Command command = new("server", "The server's process; started by the measurement.") { Step };
        command.Hidden = true;
        command.SetAction(async (parsed, cancellationToken) =>
        {
            StepPace pace = new(TimeSpan.FromSeconds(parsed.GetValue(Step)));
            (WebApplication app, string address) = await FrontendServer.StartAsync(cancellationToken, _ => pace.Wait());
            await using WebApplication server = app;
            Console.WriteLine(address);
            await Console.In.ReadToEndAsync(cancellationToken);
            await app.StopAsync(cancellationToken);
            Console.WriteLine(JsonSerializer.Serialize(pace.Intervals));
        });
        return command;
    }

    /// <exception cref="InvalidOperationException">It does not start; what it wrote to the error stream is on this program's.</exception>
    public static async Task<PacedServer> StartAsync(TimeSpan step, CancellationToken cancellationToken)
    {
        // Started by the dotnet host, the program is its first argument.
        string[] program = Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? [Environment.GetCommandLineArgs()[0]] : [];
        string[] arguments = [.. program, "generator", "server", Step.Name, step.TotalSeconds.ToString(CultureInfo.InvariantCulture)];
        Process process = Process.Start(
            new ProcessStartInfo(Environment.ProcessPath!, arguments) { RedirectStandardOutput = true, RedirectStandardInput = true })!;
        return await process.StandardOutput.ReadLineAsync(cancellationToken) is { } address
            ? new PacedServer(process, new Uri(address))
            : throw new InvalidOperationException("The server's process did not start.");
    }

    /// <summary>Ends it.</summary>
    /// <returns>How its steps came.</returns>
    public async Task<StepIntervals> StopAsync(CancellationToken cancellationToken)
    {
        _process.StandardInput.Close();
        string line = await _process.StandardOutput.ReadLineAsync(cancellationToken) ?? throw new InvalidOperationException("The server's process ended early.");
        await _process.WaitForExitAsync(cancellationToken);
        return JsonSerializer.Deserialize<StepIntervals>(line)!;
    }

    public ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        _process.Dispose();
        return ValueTask.CompletedTask;
    }
}
