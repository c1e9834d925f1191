using System.CommandLine;

namespace LlamaServe.Bench.Cost;

/// <summary>The options that say what a device costs.</summary>
internal static class PriceArguments
{
    private static readonly Option<string?> Hardware = new("--hardware") { Description = "Looked up in the table of prices, e.g. H200." };
    private static readonly Option<string> Tier = new("--tier") { Description = "How it is bought.", DefaultValueFactory = _ => "neocloud" };
    private static readonly Option<string> Table = new("--prices") { Description = "The table, JSON.", DefaultValueFactory = _ => HardwarePrice.DefaultPath };
    private static readonly Option<double?> Dollars = new("--dollars-per-hour") { Description = "Of one device, instead of the table." };
    private static readonly Option<int> Devices = new("--devices") { Description = "Devices that serve together.", DefaultValueFactory = _ => 1 };

    public static IReadOnlyList<Option> All { get; } = [Hardware, Tier, Table, Dollars, Devices];

    /// <exception cref="ArgumentException">A value is out of range, or the table lacks the price.</exception>
    public static (HardwarePrice? Price, int Devices) Read(ParseResult parsed)
    {
        int devices = parsed.GetValue(Devices);
        if (devices < 1 || parsed.GetValue(Dollars) is <= 0)
        {
            throw new ArgumentException("--devices is at least 1, --dollars-per-hour above 0");
        }

        HardwarePrice? price = parsed.GetValue(Dollars) is { } dollars
            ? new HardwarePrice(parsed.GetValue(Hardware) ?? "own", "own", dollars, null, "today", "the command line")
            : parsed.GetValue(Hardware) is { } hardware
                ? HardwarePrice.Find(parsed.GetRequiredValue(Table), hardware, parsed.GetRequiredValue(Tier))
                : null;
        return (price, devices);
    }
}
