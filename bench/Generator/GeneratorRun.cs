using LlamaServe.Bench.Frontend;
using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Generator;

/// <summary>What the load generator itself costs and adds to what it measures.</summary>
/// <param name="TokensPerSecond">Received.</param>
/// <param name="Processors">That the generator's process kept busy.</param>
/// <param name="MicrosecondsPerToken">Processor time of the generator.</param>
/// <param name="OthersShare">The part of the machine that other processes had, the server among them; null where unknown.</param>
/// <param name="SendLag">Milliseconds by which requests were sent too late.</param>
/// <param name="BetweenPieces">Milliseconds, as the generator saw them.</param>
/// <param name="BetweenSteps">Milliseconds, as the server made them.</param>
/// <param name="TokensPerPiece">Above 1 where pieces had more than one token, because the reader was behind.</param>
internal sealed record GeneratorResult(
    double TokensPerSecond, double Processors, double MicrosecondsPerToken, double? OthersShare,
    Quantiles SendLag, Quantiles BetweenPieces, double MeanBetweenPieces, StepIntervals BetweenSteps, double TokensPerPiece);

/// <summary>Loads a server whose tokens come at even times with exactly the code that <c>serve</c> uses.</summary>
/// <param name="TokensPerSecond">To ask for.</param>
/// <param name="Step">Time between tokens of a stream.</param>
internal sealed record GeneratorRun(double TokensPerSecond, TimeSpan Step, TimeSpan Duration, int Connections)
{
    private const int OutputTokens = 256;

    /// <summary>Sequences that the server runs at a time.</summary>
    private const int Places = 256;

    /// <exception cref="ArgumentException">The server cannot make that many tokens at such steps.</exception>
    /// <exception cref="InvalidOperationException">A request failed.</exception>
    public async Task<GeneratorResult> MeasureAsync(CancellationToken cancellationToken)
    {
        if (TokensPerSecond <= 0 || Step <= TimeSpan.Zero || Connections < 1 || TokensPerSecond * Step.TotalSeconds > 0.9 * Places)
        {
            throw new ArgumentException($"{Places} streams do not make {TokensPerSecond} tokens/s in steps of {Step.TotalMilliseconds} ms");
        }

        await using PacedServer server = await PacedServer.StartAsync(Step, cancellationToken);
        double rate = TokensPerSecond / OutputTokens;
        ServeOptions options = new(
            server.Address, IsHttp: false, Model: "", Tokenizer: null, AsText: false, Workload: "synthetic", File: null, Input: new(32, 32),
            Output: new(OutputTokens, OutputTokens), SharedPrefix: 0, Turns: 1, SystemTokens: 0,
            Conversations: (int)Math.Max(1, rate * Duration.TotalSeconds), Rate: rate, Burstiness: double.PositiveInfinity, MaxConcurrency: null,
            Connections, Seed: 0, IdSeed: 0, WarmUp: Places, Goal: null);
        ServeResult result = await ServeRun.RunAsync(options, TextWriter.Null, cancellationToken);
        StepIntervals steps = await server.StopAsync(cancellationToken);
        return result.Failed == 0 ? Of(result, steps) : throw new InvalidOperationException($"{result.Failed} requests failed: {result.Errors.First().Error}");
    }

    private static GeneratorResult Of(ServeResult result, StepIntervals steps) => new(
        result.OutputTokensPerSecond, result.ClientProcessorSeconds / result.Seconds, 1e6 * result.ClientProcessorSeconds / result.OutputTokens,
        result.OthersShare, Milliseconds(result.SendLag), Milliseconds(result.InterTokenLatency), 1000 * result.InterTokenLatency.Mean,
        new StepIntervals(1000 * steps.Mean, 1000 * steps.P50, 1000 * steps.P99),
        (double)result.OutputTokens / (result.InterTokenLatency.Count + result.Completed));

    private static Quantiles Milliseconds(Distribution seconds) =>
        new(1000 * seconds.Median, 1000 * seconds.Percentile(99), 1000 * seconds.Percentile(100));
}
