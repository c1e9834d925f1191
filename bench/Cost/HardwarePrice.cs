using System.Text.Json;

namespace LlamaServe.Bench.Cost;

/// <summary>What an hour of one device costs.</summary>
/// <param name="Hardware">E.g. H200.</param>
/// <param name="Tier">How it is bought, e.g. neocloud.</param>
/// <param name="DollarsPerHour">Of one device with its share of the machine.</param>
/// <param name="Kilowatts">Power of one device with everything around it; null where unknown.</param>
/// <param name="Date">A day on which the price held.</param>
/// <param name="Source">Who says so.</param>
internal sealed record HardwarePrice(string Hardware, string Tier, double DollarsPerHour, double? Kilowatts, DateOnly Date, string Source)
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        RespectRequiredConstructorParameters = true,
        RespectNullableAnnotations = true,
    };

    /// <summary>Joules of a token by the table's power, whatever the devices really drew.</summary>
    /// <param name="tokensPerSecond">Of one device.</param>
    /// <returns>null where the power is unknown.</returns>
    public double? JoulesPerToken(double tokensPerSecond) => 1000 * Kilowatts / tokensPerSecond;

    /// <summary>The table that comes with the program.</summary>
    public static string DefaultPath => Path.Combine(AppContext.BaseDirectory, "Cost", "prices.json");

    /// <summary>Looks a price up in a table: a JSON array of objects with these names in snake case.</summary>
    /// <exception cref="ArgumentException">The table is damaged, has a price that is none, or lacks this one.</exception>
    public static HardwarePrice Find(string path, string hardware, string tier)
    {
        HardwarePrice[] all = Load(path);
        return all.FirstOrDefault(price => Same(price.Hardware, hardware) && Same(price.Tier, tier))
            ?? throw new ArgumentException(
                $"{Path.GetFileName(path)} has no price of {hardware}, {tier}; it has {string.Join("; ", all.Select(price => $"{price.Hardware}, {price.Tier}"))}.");
    }

    private static bool Same(string a, string b) => string.Equals(a, b, StringComparison.OrdinalIgnoreCase);

    private static HardwarePrice[] Load(string path)
    {
        try
        {
            HardwarePrice[] all = JsonSerializer.Deserialize<HardwarePrice[]>(File.ReadAllText(path), Options) ?? [];
            return all.FirstOrDefault(price => price.DollarsPerHour is not > 0 || price.Kilowatts is <= 0) is { } wrong
                ? throw new ArgumentException($"{Path.GetFileName(path)}: {wrong.Hardware}, {wrong.Tier} has a price or a power that is not above 0.")
                : all;
        }
        catch (JsonException exception)
        {
            throw new ArgumentException($"{Path.GetFileName(path)} is no table of prices: {exception.Message}");
        }
    }
}
