namespace LlamaServe.Bench.Cost;

/// <summary>What tokens cost that come at a rate.</summary>
/// <param name="TokensPerSecond">Of all devices together.</param>
/// <param name="DollarsPerHour">Of all devices together.</param>
internal readonly record struct TokenCost(double TokensPerSecond, double DollarsPerHour)
{
    private const double SecondsPerHour = 3600;

    /// <summary>Infinity where no tokens came.</summary>
    public double DollarsPerMillion => DollarsPerHour / (TokensPerSecond * SecondsPerHour / 1e6);

    public double TokensPerCent => TokensPerSecond * SecondsPerHour / (100 * DollarsPerHour);
}
