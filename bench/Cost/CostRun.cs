using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Cost;

/// <summary>What a million tokens of each kind cost, each from a run in which they are nearly all the work.</summary>
/// <param name="Input">Prompts that nothing is known of, answered by one token.</param>
/// <param name="CachedInput">The same prompts again.</param>
/// <param name="Output">Answers to the shortest prompts.</param>
/// <param name="Interactivity">Output tokens a second that one reader saw meanwhile (1 / the median time per token).</param>
/// <param name="Energy">Joules an output token of each counter that can be read.</param>
internal sealed record CostRun(TokenCost Input, TokenCost CachedInput, TokenCost Output, double Interactivity, IReadOnlyDictionary<string, double> Energy)
{
    private const int ShortPrompt = 8;

    /// <param name="options">Address, lengths, number of requests and requests in flight; the rest is set here.</param>
    /// <param name="dollarsPerHour">Of all devices together.</param>
    /// <param name="counters">Read before and after the answers; of this machine, so only when the server runs on it.</param>
    public static async Task<CostRun> MeasureAsync(
        ServeOptions options, double dollarsPerHour, IReadOnlyList<IEnergyCounter> counters, CancellationToken cancellationToken)
    {
        ServeOptions prompts = options with { Workload = "synthetic", Rate = double.PositiveInfinity, Output = new LengthDistribution(1, 1), SharedPrefix = 0 };
        ServeResult input = await RunAsync(prompts, cancellationToken);
        ServeResult cached = await RunAsync(prompts, cancellationToken);
        double[] before = [.. counters.Select(counter => counter.Joules)];
        ServeResult output = await RunAsync(
            prompts with { Input = new LengthDistribution(ShortPrompt, ShortPrompt), Output = options.Output, IdSeed = ~options.IdSeed }, cancellationToken);
        Dictionary<string, double> energy = [];
        for (int i = 0; i < counters.Count; i++)
        {
            energy[counters[i].Name] = (counters[i].Joules - before[i]) / output.OutputTokens;
        }

        return new CostRun(
            new TokenCost(input.InputTokens / input.Seconds, dollarsPerHour),
            new TokenCost(cached.InputTokens / cached.Seconds, dollarsPerHour),
            new TokenCost(output.OutputTokensPerSecond, dollarsPerHour),
            output.TimePerToken.Median > 0 ? 1 / output.TimePerToken.Median : 0,
            energy);

        async Task<ServeResult> RunAsync(ServeOptions run, CancellationToken token)
        {
            ServeResult result = await ServeRun.RunAsync(run, TextWriter.Null, token);
            return result.Failed == 0
                ? result
                : throw new InvalidOperationException($"{result.Failed} requests failed, the first: {result.Errors.First().Error}");
        }
    }
}
