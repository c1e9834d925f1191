using System.Diagnostics;
using Grpc.Core;
using Grpc.Net.Client;
using LlamaServe.V1;

namespace LlamaServe.Bench.Frontend;

/// <summary>Clients that each send the same request again and again over a few connections and read every answer to its end.</summary>
/// <param name="clients">Requests in flight, at most where there is a rate.</param>
/// <param name="requestsPerSecond">Sent by the clock, evenly; null: as fast as answers come.</param>
internal sealed class ClientLoad(string address, int connections, int clients, GenerateRequest request, double? requestsPerSecond)
{
    private readonly Metronome? _metronome = requestsPerSecond is { } rate ? new Metronome(rate) : null;
    private long _requests;
    private long _tokens;

    /// <summary>Runs the load: a while to warm up, then measured.</summary>
    /// <param name="onMeasuring">Called when the measuring begins.</param>
    public async Task<LoadResult> RunAsync(TimeSpan warmUp, TimeSpan duration, Action onMeasuring, CancellationToken cancellationToken)
    {
        GrpcChannel[] channels = [.. Enumerable.Range(0, connections).Select(_ => GrpcChannel.ForAddress(address))];
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task[] running = [.. Enumerable.Range(0, clients).Select(i => Task.Run(() => RepeatAsync(channels[i % connections], stop.Token), stop.Token))];
        await Task.Delay(warmUp, cancellationToken);
        onMeasuring();
        TimeSpan processor = Environment.CpuUsage.TotalTime;
        long start = Stopwatch.GetTimestamp(), requests = Interlocked.Read(ref _requests), tokens = Interlocked.Read(ref _tokens);
        await Task.WhenAny(Task.Delay(duration, cancellationToken), Task.WhenAny(running).Unwrap());
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        LoadResult result = new(
            (Interlocked.Read(ref _requests) - requests) / seconds, (Interlocked.Read(ref _tokens) - tokens) / seconds,
            (Environment.CpuUsage.TotalTime - processor).TotalSeconds, seconds);
        await stop.CancelAsync();
        await Task.WhenAll(running);
        Array.ForEach(channels, channel => channel.Dispose());
        return result;
    }

    private async Task RepeatAsync(GrpcChannel channel, CancellationToken cancellationToken)
    {
        Generation.GenerationClient client = new(channel);
        try
        {
            while (!cancellationToken.IsCancellationRequested)
            {
                if (_metronome is not null)
                {
                    await _metronome.NextAsync(cancellationToken);
                }

                await SendAsync(client, cancellationToken);
            }
        }
        catch (Exception exception) when (exception is RpcException or OperationCanceledException && cancellationToken.IsCancellationRequested)
        {
            // The end of the run.
        }
    }

    private async Task SendAsync(Generation.GenerationClient client, CancellationToken cancellationToken)
    {
        using AsyncServerStreamingCall<GenerateResponse> call = client.Generate(request, cancellationToken: cancellationToken);
        long expected = request.Stopping.MaxTokens;
        while (await call.ResponseStream.MoveNext(cancellationToken))
        {
            foreach (Delta delta in call.ResponseStream.Current.Deltas)
            {
                expected -= delta.TokenIds.Count;
                Interlocked.Add(ref _tokens, delta.TokenIds.Count);
            }
        }

        if (expected != 0)
        {
            throw new InvalidOperationException($"A stream ended with {expected} tokens missing.");
        }

        Interlocked.Increment(ref _requests);
    }
}

/// <summary>What clients received.</summary>
/// <param name="ProcessorSeconds">Their process's.</param>
internal readonly record struct LoadResult(double RequestsPerSecond, double TokensPerSecond, double ProcessorSeconds, double Seconds);
