using System.CommandLine;
using Microsoft.AspNetCore.Builder;

namespace LlamaServe.Bench.Frontend;

/// <summary><c>frontend</c>: everything but the model, over real gRPC: requests, streamed tokens and pauses.</summary>
internal static class FrontendCommand
{
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(5);

    public static Command Create()
    {
        Option<double> duration = new("--duration") { Description = "Seconds measured, half of them for each load.", DefaultValueFactory = _ => 20 };
        Option<int> clients = new("--clients") { Description = "Requests in flight.", DefaultValueFactory = _ => 64 };
        Option<int> connections = new("--connections") { Description = "HTTP/2 connections.", DefaultValueFactory = _ => 4 };
        Option<bool> paced = new("--paced") { Description = "Send at the goal's rates, not as fast as answers come." };
        Command command = new("frontend", "Measure the server with a device that answers at once; clients run in a second process.")
        {
            duration, clients, connections, paced, ClientProcess.CreateCommand(),
        };
        command.SetAction((parsed, cancellationToken) => MeasureAsync(
            new FrontendTimes(WarmUp, TimeSpan.FromSeconds(parsed.GetValue(duration) / FrontendLoad.All.Count), parsed.GetValue(paced)),
            parsed.GetValue(clients), parsed.GetValue(connections), cancellationToken));
        return command;
    }

    private static async Task MeasureAsync(FrontendTimes times, int clients, int connections, CancellationToken cancellationToken)
    {
        using PauseListener pauses = new();
        using HostTimeListener host = new();
        (WebApplication app, string address) = await FrontendServer.StartAsync(cancellationToken);
        await using WebApplication server = app;
        List<FrontendResult> results = [];
        foreach (FrontendLoad load in FrontendLoad.All)
        {
            ProcessorClock processor = new();
            LoadResult received = await ClientProcess.RunAsync(address, load, times, clients, connections, Begin, cancellationToken);
            results.Add(new FrontendResult(
                load.Name, clients, received, processor.Own, processor.OthersShare(received.ProcessorSeconds, received.Seconds),
                host.MeanMicroseconds, pauses.Summarize()));
            Console.WriteLine(results[^1]);

            void Begin()
            {
                pauses.Reset();
                host.Reset();
                processor = new ProcessorClock();
            }
        }

        Console.WriteLine(ResultFile.Save(times.IsPaced ? "frontend-paced" : "frontend", limits: null, results));
        await server.StopAsync(cancellationToken);
    }
}

/// <summary>One load's outcome.</summary>
/// <param name="ProcessorSeconds">Of the server's process.</param>
/// <param name="OthersShare">The part of the machine that other processes than server and clients had; null where unknown.</param>
/// <param name="HostMicrosecondsPerStep">Mean time that the engine's thread spends on a step outside the model.</param>
internal sealed record FrontendResult(
    string Load, int Clients, LoadResult Received, double ProcessorSeconds, double? OthersShare, double HostMicrosecondsPerStep, PauseSummary Pauses)
{
    public override string ToString() =>
        $"{Load}, {Clients} at a time: {Received.RequestsPerSecond:N0} requests/s, {Received.TokensPerSecond:N0} tokens/s; "
        + $"{HostMicrosecondsPerStep:F1} µs a step; {Pauses} in {Received.Seconds:F0} s"
        + (OthersShare is { } others ? $"; other processes had {others:P0} of the processors" : "");
}
