using System.CommandLine;
using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Cost;

/// <summary><c>cost</c>: dollars a million tokens: input, cached input and output, from a running server's measured throughput.</summary>
internal static class CostCommand
{
    public static Command Create()
    {
        Option<string?> save = new("--save") { Description = "File for the result; by default one in bench/results." };
        Command command = new("cost", "Price the tokens of a running server: input, cached input and output apart.") { save };
        foreach (Option option in ServeArguments.All.Concat(PriceArguments.All))
        {
            command.Add(option);
        }

        command.SetAction((parsed, cancellationToken) => RunAsync(parsed, parsed.GetValue(save), cancellationToken));
        return command;
    }

    private static async Task RunAsync(ParseResult parsed, string? save, CancellationToken cancellationToken)
    {
        (HardwarePrice? price, int devices) = PriceArguments.Read(parsed);
        if (price is null)
        {
            throw new ArgumentException("a cost needs --hardware or --dollars-per-hour");
        }

        ServeOptions options = ServeArguments.Read(parsed);
        string path = ResultFile.Reserve(save, "cost");
        IEnergyCounter?[] counters = options.Address.IsLoopback ? [RaplCounter.TryOpen(), NvmlCounter.TryOpen()] : [];
        CostRun run = await CostRun.MeasureAsync(options, price.DollarsPerHour * devices, [.. counters.OfType<IEnergyCounter>()], cancellationToken);
        CostTable.Write(run, price, devices, options, Console.Out);
        ResultFile.WriteTo(path, new
        {
            Price = price,
            Devices = devices,
            Input = options.Input.ToString(),
            Output = options.Output.ToString(),
            options.MaxConcurrency,
            Cost = run,
            JoulesAnOutputTokenByTable = price.JoulesPerToken(run.Output.TokensPerSecond / devices),
        });
        Console.WriteLine(path);
    }
}
