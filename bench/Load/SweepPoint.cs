using System.Globalization;
using LlamaServe.Bench.Cost;

namespace LlamaServe.Bench.Load;

/// <summary>A run at one concurrency or one rate, by the two measures that a sweep weighs against each other. Times in seconds.</summary>
/// <param name="Concurrency">Requests in flight; null where they came at a rate.</param>
/// <param name="Rate">Conversations a second that were sent; null where concurrency was given.</param>
/// <param name="RequestsPerSecond">That were answered.</param>
/// <param name="TokensPerSecondPerUser">Output tokens a second that one reader sees: 1 / the median time per token.</param>
/// <param name="TokensPerSecondPerDevice">Output tokens a second of all readers, for each device.</param>
/// <param name="CachedShare">The part of the input that the server found computed; null where it does not say.</param>
internal sealed record SweepPoint(
    int? Concurrency, double? Rate, double RequestsPerSecond, double TokensPerSecondPerUser, double TokensPerSecondPerDevice,
    double MedianTimeToFirstToken, double P99TimeToFirstToken, double MedianTimePerToken, double P99TimePerToken, int Completed, int Failed,
    double? CachedShare)
{
    /// <summary>Requests that a 99th percentile needs, to have five beyond it: of fewer it is nearly their maximum.</summary>
    public const int FewestForP99 = 500;

    public const string Header =
        "       load  requests/s  tok/s/user  tok/s/device  TTFT p50 ms  TTFT p99 ms  TPOT p99 ms  cached %   $/M output   tokens/cent  failed";

    /// <summary>Dollars of a million output tokens, which carry the whole price; null without a price.</summary>
    public double? DollarsPerMillion { get; init; }

    /// <summary>Output tokens for a cent; null without a price.</summary>
    public double? TokensPerCent { get; init; }

    /// <summary>Answers that have another length than was asked for: the point is of another workload then.</summary>
    public int WrongLengths { get; init; }

    /// <summary>Whether there are requests enough for 99th percentiles.</summary>
    public bool IsEnoughForP99 => Completed >= FewestForP99;

    /// <summary>What makes the numbers mean something else, for people.</summary>
    private string Doubts =>
        (IsEnoughForP99 ? "" : $"  {Completed} requests: few for a p99") + (WrongLengths == 0 ? "" : $"  {WrongLengths} answers of another length");

    /// <summary>What was asked of the server, for people.</summary>
    private string Load => Concurrency is { } requests ? $"{requests} at once" : string.Create(CultureInfo.InvariantCulture, $"{Rate:G4}/s");

    /// <param name="load">How requests were sent.</param>
    /// <param name="dollarsPerHour">Of one device; null: unknown.</param>
    public static SweepPoint Of(ServeOptions load, ServeResult result, int devices, double? dollarsPerHour)
    {
        bool hasRate = !double.IsPositiveInfinity(load.Rate);
        double perToken = result.TimePerToken.Median;
        SweepPoint point = new(
            hasRate ? null : load.MaxConcurrency, hasRate ? load.Rate : null, result.RequestsPerSecond, perToken > 0 ? 1 / perToken : 0,
            result.OutputTokensPerSecond / devices, result.TimeToFirstToken.Median, result.TimeToFirstToken.Percentile(99), perToken,
            result.TimePerToken.Percentile(99), result.Completed, result.Failed, result.CachedShare)
        {
            WrongLengths = result.WrongLengths,
        };
        return point.Priced(dollarsPerHour);
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
        $"{Load,11}{RequestsPerSecond,12:F2}{TokensPerSecondPerUser,12:F1}{TokensPerSecondPerDevice,14:F1}{1000 * MedianTimeToFirstToken,13:F1}{1000 * P99TimeToFirstToken,13:F1}{1000 * P99TimePerToken,13:F2}{100 * CachedShare,10:F1}{DollarsPerMillion,13:F4}{TokensPerCent,14:F0}{Failed,8}{Doubts}");

    private SweepPoint Priced(double? dollarsPerHour)
    {
        TokenCost? cost = dollarsPerHour is { } price ? new TokenCost(TokensPerSecondPerDevice, price) : null;
        return this with { DollarsPerMillion = cost?.DollarsPerMillion, TokensPerCent = cost?.TokensPerCent };
    }
}
