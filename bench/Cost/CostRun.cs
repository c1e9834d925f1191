using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Cost;

/// <summary>What a million tokens of each kind cost, each from a run in which they are nearly all the work.</summary>
/// <param name="Input">Prompts that nothing is known of, answered by one token.</param>
/// <param name="CachedInput">The same prompts again; null where the server did not find them in its cache, so that it has no price.</param>
/// <param name="Output">Answers to the shortest prompts.</param>
/// <param name="InputCachedShare">The part of <paramref name="Input"/>'s tokens that was found computed; null where the server does not say.</param>
/// <param name="CachedShare">The same of the prompts that were sent again.</param>
/// <param name="Interactivity">Output tokens a second that one reader saw meanwhile (1 / the median time per token).</param>
/// <param name="WrongLengths">Answers of all runs that have another length than was asked for.</param>
/// <param name="Energy">What each counter that can be read counted.</param>
internal sealed record CostRun(
    TokenCost Input, TokenCost? CachedInput, TokenCost Output, double? InputCachedShare, double? CachedShare, double Interactivity,
    int WrongLengths, IReadOnlyList<TokenEnergy> Energy)
{
    /// <summary>Less than this of prompts sent again makes their price that of something else.</summary>
    public const double LeastCached = 0.9;

    private const int ShortPrompt = 8;

    /// <param name="options">Address, lengths, number of requests and requests in flight; the rest is set here.</param>
    /// <param name="dollarsPerHour">Of all devices together.</param>
    /// <param name="counters">Read before and after each run; of this machine, so only when the server runs on it.</param>
    public static async Task<CostRun> MeasureAsync(
        ServeOptions options, double dollarsPerHour, IReadOnlyList<IEnergyCounter> counters, CancellationToken cancellationToken)
    {
        ServeOptions prompts = options with
        {
            Workload = "synthetic",
            Rate = double.PositiveInfinity,
            Output = new LengthDistribution(1, 1),
            SharedPrefix = 0,
            WarmUp = 0,
        };
        ServeOptions answers = prompts with { Input = new LengthDistribution(ShortPrompt, ShortPrompt), Output = options.Output, IdSeed = ~options.IdSeed };
        if (options.WarmUp > 0)
        {
            // A run of its own: its tokens are in no price and its joules in no sum.
            await ServeRun.RunAsync(answers with { Conversations = options.WarmUp, IdSeed = options.IdSeed + 1 }, TextWriter.Null, cancellationToken);
        }

        MeteredRun input = await RunAsync(prompts), cached = await RunAsync(prompts), output = await RunAsync(answers);
        bool isCached = cached.Result.CachedShare is not < LeastCached;
        double perToken = output.Result.TimePerToken.Median;
        return new CostRun(
            new TokenCost(input.Result.InputTokens / input.Result.Seconds, dollarsPerHour),
            isCached ? new TokenCost(cached.Result.InputTokens / cached.Result.Seconds, dollarsPerHour) : null,
            new TokenCost(output.Result.OutputTokensPerSecond, dollarsPerHour),
            input.Result.CachedShare, cached.Result.CachedShare, perToken > 0 ? 1 / perToken : 0,
            input.Result.WrongLengths + cached.Result.WrongLengths + output.Result.WrongLengths,
            [.. counters.Select((counter, i) => new TokenEnergy(
                counter.Name, input.Joules[i] / input.Result.InputTokens, isCached ? cached.Joules[i] / cached.Result.InputTokens : null,
                output.Joules[i] / output.Result.OutputTokens))]);

        async Task<MeteredRun> RunAsync(ServeOptions run)
        {
            double[] before = [.. counters.Select(counter => counter.Joules)];
            ServeResult result = await ServeRun.RunAsync(run, TextWriter.Null, cancellationToken);
            double[] joules = [.. counters.Select((counter, i) => counter.Joules - before[i])];
            return result.Failed == 0
                ? new MeteredRun(result, joules)
                : throw new InvalidOperationException($"{result.Failed} requests failed, the first: {result.Errors.First().Error}");
        }
    }

    /// <param name="Joules">[counter].</param>
    private sealed record MeteredRun(ServeResult Result, double[] Joules);
}
