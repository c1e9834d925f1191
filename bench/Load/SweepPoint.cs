using System.Globalization;
using LlamaServe.Bench.Cost;

namespace LlamaServe.Bench.Load;

/// <summary>A run at one concurrency, by the two measures that a sweep weighs against each other.</summary>
/// <param name="TokensPerSecondPerUser">Output tokens a second that one reader sees: 1 / the median time per token.</param>
/// <param name="TokensPerSecondPerDevice">Output tokens a second of all readers, for each device.</param>
/// <param name="DollarsPerMillion">Of output tokens, which carry the whole price; null without a price.</param>
internal sealed record SweepPoint(
    int Concurrency, double TokensPerSecondPerUser, double TokensPerSecondPerDevice, double MedianTimeToFirstToken, double P99TimePerToken,
    double? DollarsPerMillion, double? TokensPerCent, int Failed)
{
    public const string Header = "concurrency  tok/s/user  tok/s/device  TTFT p50 ms  TPOT p99 ms   $/M output   tokens/cent";

    public static SweepPoint Of(int concurrency, ServeResult result, int devices, double? dollarsPerHour)
    {
        TokenCost? cost = dollarsPerHour is { } price ? new TokenCost(result.OutputTokensPerSecond, price * devices) : null;
        double perToken = result.TimePerToken.Median;
        return new SweepPoint(
            concurrency, perToken > 0 ? 1 / perToken : 0, result.OutputTokensPerSecond / devices, result.TimeToFirstToken.Median,
            result.TimePerToken.Percentile(99), cost?.DollarsPerMillion, cost?.TokensPerCent, result.Failed);
    }

    /// <summary>Points that no other beats in both measures.</summary>
    public static IReadOnlyList<SweepPoint> ParetoFront(IReadOnlyCollection<SweepPoint> points) =>
    [
        .. points.Where(point => !points.Any(other =>
            other.TokensPerSecondPerUser >= point.TokensPerSecondPerUser && other.TokensPerSecondPerDevice >= point.TokensPerSecondPerDevice
            && (other.TokensPerSecondPerUser > point.TokensPerSecondPerUser || other.TokensPerSecondPerDevice > point.TokensPerSecondPerDevice))),
    ];

    public string Row() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Concurrency,11}{TokensPerSecondPerUser,12:F1}{TokensPerSecondPerDevice,14:F1}{1000 * MedianTimeToFirstToken,13:F1}{1000 * P99TimePerToken,13:F2}{DollarsPerMillion,13:F4}{TokensPerCent,14:F0}");
}
