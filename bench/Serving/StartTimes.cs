using System.Diagnostics;
using Grpc.Core;
using LlamaServe.V1;

namespace LlamaServe.Bench.Serving;

/// <summary>One start, in milliseconds as a client sees them.</summary>
/// <param name="Ready">From the start of the process to its ready message.</param>
/// <param name="FirstToken">From the start of the process to the first token of a request sent when it was ready.</param>
/// <param name="FirstRequest">From sending that request to its first token.</param>
/// <param name="SecondRequest">The same for the next one, of another prompt.</param>
internal sealed record StartTimes(double Ready, double FirstToken, double FirstRequest, double SecondRequest)
{
    private const int NewTokens = 16;

    public static async Task<StartTimes> MeasureAsync(string program, string model, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        using PublishedServer server = await PublishedServer.StartAsync(program, ["--model", model], cancellationToken);
        long ready = Stopwatch.GetTimestamp();
        long firstToken = await RequestAsync(server, "Once upon a time there was a king", cancellationToken);
        long second = Stopwatch.GetTimestamp();
        long secondToken = await RequestAsync(server, "A fox met a raven in the wood and", cancellationToken);
        return new StartTimes(Milliseconds(start, ready), Milliseconds(start, firstToken), Milliseconds(ready, firstToken), Milliseconds(second, secondToken));
    }

    /// <summary>The median of each time on its own.</summary>
    public static StartTimes Median(IReadOnlyList<StartTimes> rounds) => new(
        MedianOf(rounds, round => round.Ready),
        MedianOf(rounds, round => round.FirstToken),
        MedianOf(rounds, round => round.FirstRequest),
        MedianOf(rounds, round => round.SecondRequest));

    public override string ToString() =>
        $"ready after {Ready:F0} ms, first token after {FirstToken:F0} ms; the first request took {FirstRequest:F0} ms, the second {SecondRequest:F1} ms";

    /// <summary>Reads a stream to its end.</summary>
    /// <returns>When the first token came.</returns>
    private static async Task<long> RequestAsync(PublishedServer server, string text, CancellationToken cancellationToken)
    {
        GenerateRequest request = new()
        {
            Text = text,
            Sampling = new SamplingOptions { Seed = 1 },
            Stopping = new StoppingOptions { MaxTokens = NewTokens, IgnoreEos = true },
        };
        using AsyncServerStreamingCall<GenerateResponse> call = server.Client.Generate(request, cancellationToken: cancellationToken);
        long first = 0;
        await foreach (GenerateResponse response in call.ResponseStream.ReadAllAsync(cancellationToken))
        {
            if (first == 0 && response.Deltas.Count > 0)
            {
                first = Stopwatch.GetTimestamp();
            }
        }

        return first;
    }

    private static double Milliseconds(long start, long end) => Stopwatch.GetElapsedTime(start, end).TotalMilliseconds;

    private static double MedianOf(IReadOnlyList<StartTimes> rounds, Func<StartTimes, double> time) =>
        rounds.Select(time).Order().ElementAt(rounds.Count / 2);
}
