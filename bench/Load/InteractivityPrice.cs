using LlamaServe.Bench.Cost;

namespace LlamaServe.Bench.Load;

/// <summary>What output costs where every reader has a stated speed, between two points of a sweep.</summary>
/// <param name="TokensPerSecondPerUser">The stated speed.</param>
/// <param name="TokensPerSecondPerDevice">Along the straight line between the two neighbours on the Pareto front.</param>
/// <param name="DollarsPerMillion">Output tokens; null without a price.</param>
internal sealed record InteractivityPrice(double TokensPerSecondPerUser, double TokensPerSecondPerDevice, double? DollarsPerMillion, double? TokensPerCent)
{
    /// <param name="front">Points that no other beats, in any order.</param>
    /// <param name="interactivity">Output tokens a second of one reader.</param>
    /// <param name="dollarsPerHour">Of one device; null: unknown.</param>
    /// <returns>null where the sweep has no point on one of its sides: nothing is said of speeds that were not measured.</returns>
    public static InteractivityPrice? At(IReadOnlyCollection<SweepPoint> front, double interactivity, double? dollarsPerHour)
    {
        SweepPoint? slower = front.Where(point => point.TokensPerSecondPerUser <= interactivity).MaxBy(point => point.TokensPerSecondPerUser);
        SweepPoint? faster = front.Where(point => point.TokensPerSecondPerUser >= interactivity).MinBy(point => point.TokensPerSecondPerUser);
        if (slower is null || faster is null)
        {
            return null;
        }

        double width = faster.TokensPerSecondPerUser - slower.TokensPerSecondPerUser;
        double part = width > 0 ? (interactivity - slower.TokensPerSecondPerUser) / width : 0;
        double tokens = slower.TokensPerSecondPerDevice + part * (faster.TokensPerSecondPerDevice - slower.TokensPerSecondPerDevice);
        TokenCost? cost = dollarsPerHour is { } price ? new TokenCost(tokens, price) : null;
        return new InteractivityPrice(interactivity, tokens, cost?.DollarsPerMillion, cost?.TokensPerCent);
    }
}
