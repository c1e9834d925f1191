using System.Globalization;
using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Cost;

/// <summary>Prices of tokens for people.</summary>
internal static class CostTable
{
    // More than this of prompts that should be new makes their price too low.
    private const double MostCached = 0.1;

    public static void Write(CostRun run, HardwarePrice price, int devices, ServeOptions options, TextWriter output)
    {
        Line($"{devices} × {price.Hardware}, {price.Tier}: {price.DollarsPerHour} $/h each ({price.Source}, {price.Date:yyyy-MM-dd})");
        Line($"prompts of {options.Input}, answers of {options.Output} tokens, at most {options.MaxConcurrency?.ToString(CultureInfo.InvariantCulture) ?? "all"} in flight; one reader saw {run.Interactivity:F1} tokens/s");
        Line($"{"",-14}{"tokens/s",12}{"$ a million",14}{"tokens a cent",16}");
        Row("input", run.Input);
        Row("cached input", run.CachedInput);
        Row("output", run.Output);
        WriteDoubts(run, output);
        foreach (TokenEnergy energy in run.Energy)
        {
            Line($"{energy.Counter}, joules a token: input {energy.Input:F4}, cached input {energy.CachedInput:F4}, output {energy.Output:F3}");
        }

        if (run.Energy.Count == 0)
        {
            Line($"energy: no counter can be read here");
        }

        if (price.JoulesPerToken(run.Output.TokensPerSecond / devices) is { } joules)
        {
            Line($"at the table's {price.Kilowatts} kW each: {joules:F3} J an output token, not measured");
        }

        void Row(string name, TokenCost? cost)
        {
            Line($"{name,-14}{cost?.TokensPerSecond,12:F1}{cost?.DollarsPerMillion,14:F4}{cost?.TokensPerCent,16:F0}");
        }

        void Line(FormattableString text) => output.WriteLine(text.ToString(CultureInfo.InvariantCulture));
    }

    private static void WriteDoubts(CostRun run, TextWriter output)
    {
        string? doubt = run.CachedShare switch
        {
            null => "cached input: the server does not say what it found in its cache, so its price is not verified",
            < CostRun.LeastCached and var share => string.Create(CultureInfo.InvariantCulture, $"cached input has no price: only {100 * share:F0} % of it was in the cache; ask for fewer or longer prompts, that fit it"),
            _ => null,
        };
        if (doubt is not null)
        {
            output.WriteLine(doubt);
        }

        if (run.WrongLengths > 0)
        {
            output.WriteLine($"{run.WrongLengths} answers have another length than was asked for: these are prices of another workload");
        }

        if (run.InputCachedShare > MostCached)
        {
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"input is too cheap: {100 * run.InputCachedShare:F0} % of it was in the cache"));
        }
    }
}
