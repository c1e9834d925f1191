using System.CommandLine;
using System.Globalization;
using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Cost;

/// <summary><c>cost</c>: dollars a million tokens: input, cached input and output, from a running server's measured throughput.</summary>
internal static class CostCommand
{
    public static Command Create()
    {
        Command command = new("cost", "Price the tokens of a running server: input, cached input and output apart.");
        foreach (Option option in ServeArguments.All.Concat(PriceArguments.All))
        {
            command.Add(option);
        }

        command.SetAction(async (parsed, cancellationToken) =>
        {
            (HardwarePrice? price, int devices) = PriceArguments.Read(parsed);
            if (price is null)
            {
                throw new ArgumentException("a cost needs --hardware or --dollars-per-hour");
            }

            ServeOptions options = ServeArguments.Read(parsed);
            IEnergyCounter?[] counters = options.Address.IsLoopback ? [RaplCounter.TryOpen(), NvmlCounter.TryOpen()] : [];
            CostRun run = await CostRun.MeasureAsync(
                options, price.DollarsPerHour * devices, [.. counters.OfType<IEnergyCounter>()], cancellationToken);
            Write(run, price, devices, options);
            Console.WriteLine(ResultFile.Save("cost", limits: null, new
            {
                Price = price,
                Devices = devices,
                Input = options.Input.ToString(),
                Output = options.Output.ToString(),
                options.MaxConcurrency,
                Cost = run,
            }));
        });
        return command;
    }

    private static void Write(CostRun run, HardwarePrice price, int devices, ServeOptions options)
    {
        Line($"{devices} × {price.Hardware}, {price.Tier}: {price.DollarsPerHour} $/h each ({price.Source}, {price.Date})");
        Line($"prompts of {options.Input}, answers of {options.Output} tokens, at most {options.MaxConcurrency?.ToString(CultureInfo.InvariantCulture) ?? "all"} in flight; one reader saw {run.Interactivity:F1} tokens/s");
        Line($"{"",-14}{"tokens/s",12}{"$ a million",14}{"tokens a cent",16}");
        Row("input", run.Input);
        Row("cached input", run.CachedInput);
        Row("output", run.Output);
        foreach ((string counter, double joules) in run.Energy)
        {
            Line($"{counter}: {joules:F3} J an output token");
        }

        if (run.Energy.Count == 0)
        {
            Line($"energy: no counter can be read here");
        }

        void Row(string name, TokenCost cost) => Line($"{name,-14}{cost.TokensPerSecond,12:F1}{cost.DollarsPerMillion,14:F4}{cost.TokensPerCent,16:F0}");

        static void Line(FormattableString text) => Console.WriteLine(text.ToString(CultureInfo.InvariantCulture));
    }
}
