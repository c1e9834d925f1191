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

    /// <summary>Those that say nothing of how many there are.</summary>
    public static IReadOnlyList<Option> OfOneDevice { get; } = [Hardware, Tier, Table, Dollars];

    public static IReadOnlyList<Option> All { get; } = [.. OfOneDevice, Devices];

    /// <exception cref="ArgumentException">A value is out of range, or the table lacks the price.</exception>
    public static (HardwarePrice? Price, int Devices) Read(ParseResult parsed)
    {
        int devices = parsed.GetValue(Devices);
        return devices < 1
            ? throw new ArgumentException("--devices is at least 1")
            : (ReadOne(parsed, hardware: null), devices);
    }

    /// <param name="hardware">What it is where no option says; null: unknown.</param>
    /// <returns>The price of one device; null where none is named.</returns>
    /// <exception cref="ArgumentException">A value is out of range, or the table lacks the price.</exception>
    public static HardwarePrice? ReadOne(ParseResult parsed, string? hardware)
    {
        hardware = parsed.GetValue(Hardware) ?? hardware;
        return parsed.GetValue(Dollars) switch
        {
            <= 0 => throw new ArgumentException("--dollars-per-hour is above 0"),
            { } dollars => new HardwarePrice(hardware ?? "own", "own", dollars, null, DateOnly.FromDateTime(DateTime.UtcNow), "the command line"),
            null => hardware is null ? null : HardwarePrice.Find(parsed.GetRequiredValue(Table), hardware, parsed.GetRequiredValue(Tier)),
        };
    }
}
