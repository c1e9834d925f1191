using System.CommandLine;
using LlamaServe.V1;
using Microsoft.AspNetCore.Builder;

namespace LlamaServe.Bench.Frontend;

/// <summary><c>frontend</c>: everything but the model, over real gRPC: requests, streamed tokens and pauses.</summary>
internal static class FrontendCommand
{
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(5);

    public static Command Create()
    {
        Option<double> duration = new("--duration") { Description = "Seconds that each load is measured.", DefaultValueFactory = _ => 10 };
        Option<int> clients = new("--clients") { Description = "Requests in flight.", DefaultValueFactory = _ => 64 };
        Option<int> connections = new("--connections") { Description = "HTTP/2 connections.", DefaultValueFactory = _ => 4 };
        Command command = new("frontend", "Measure server and clients in one process, with a device that answers at once.")
        {
            duration, clients, connections,
        };
        command.SetAction((parsed, cancellationToken) => MeasureAsync(
            TimeSpan.FromSeconds(parsed.GetValue(duration)), parsed.GetValue(connections), parsed.GetValue(clients), cancellationToken));
        return command;
    }

    private static async Task MeasureAsync(TimeSpan duration, int connections, int clients, CancellationToken cancellationToken)
    {
        using PauseListener pauses = new();
        using HostTimeListener host = new();
        (WebApplication app, string address) = await FrontendServer.StartAsync(cancellationToken);
        await using WebApplication server = app;
        List<FrontendResult> results = [];
        foreach ((string name, GenerateRequest request) in Loads())
        {
            ClientLoad load = new(address, connections, clients, request);
            LoadResult result = await load.RunAsync(WarmUp, duration, () => { pauses.Reset(); host.Reset(); }, cancellationToken);
            results.Add(new FrontendResult(name, clients, result, host.MeanMicroseconds, pauses.Summarize()));
            Console.WriteLine(results[^1]);
        }

        Console.WriteLine(ResultFile.Save("frontend", limits: null, results));
        await server.StopAsync(cancellationToken);
    }

    private static IEnumerable<(string Name, GenerateRequest Request)> Loads() =>
    [
        ("short requests", new GenerateRequest
        {
            Text = "Once upon a time there was a king who had three daughters",
            Sampling = new SamplingOptions { Temperature = 0 },
            Stopping = new StoppingOptions { MaxTokens = 8 },
        }),
        ("long streams", new GenerateRequest
        {
            Text = "Once upon a time there was a king who had three daughters",
            Sampling = new SamplingOptions { Temperature = 0 },
            Stopping = new StoppingOptions { MaxTokens = 8192 },
        }),
    ];
}

/// <summary>One load's outcome.</summary>
/// <param name="HostMicrosecondsPerStep">Mean time that the engine's thread spends on a step outside the model.</param>
internal sealed record FrontendResult(string Load, int Clients, LoadResult Clientside, double HostMicrosecondsPerStep, PauseSummary Pauses)
{
    public override string ToString() =>
        $"{Load}, {Clients} at a time: {Clientside.RequestsPerSecond:N0} requests/s, {Clientside.TokensPerSecond:N0} tokens/s; "
        + $"{HostMicrosecondsPerStep:F1} µs a step; {Pauses.Count} pauses in {Clientside.Seconds:F0} s, "
        + $"median {Pauses.MedianMilliseconds:F2} ms, longest {Pauses.MaxMilliseconds:F2} ms";
}
