using System.Globalization;

namespace LlamaServe.Bench.Load;

/// <summary>Runs of one load after each other, each at its own concurrency or rate, none with prompts of another.</summary>
/// <param name="load">What all have in common.</param>
/// <param name="devices">That serve together.</param>
/// <param name="dollarsPerHour">Of one device; null: unknown.</param>
internal sealed class Sweep(ServeOptions load, int devices, double? dollarsPerHour, TextWriter output)
{
    private const double RatePrecision = 0.05;
    private const int MostRequests = 1_000_000;

    private readonly List<SweepPoint> _points = [];
    private int _sent = load.Skip;

    /// <summary>Every run, in the order in which they were made.</summary>
    public IReadOnlyList<SweepPoint> Points => _points;

    /// <param name="rounds">Requests for each one in flight.</param>
    public Task<ServeResult> RunAtConcurrencyAsync(int requests, int rounds, CancellationToken cancellationToken) =>
        RunAsync(load with { MaxConcurrency = requests, Conversations = rounds * requests, Rate = double.PositiveInfinity }, cancellationToken);

    /// <param name="rate">Conversations a second.</param>
    /// <param name="seconds">How long they come.</param>
    public Task<ServeResult> RunAtRateAsync(double rate, int seconds, CancellationToken cancellationToken) =>
        RunAsync(load with { MaxConcurrency = null, Conversations = Math.Max(1, (int)Math.Min(rate * seconds, MostRequests)), Rate = rate }, cancellationToken);

    /// <summary>The largest rate at which the constraint holds, to 5 %; 0 where there is none.</summary>
    public Task<double> FindRateAsync(LatencyConstraint constraint, int seconds, CancellationToken cancellationToken) => RateSearch.FindAsync(
        async rate =>
        {
            ServeResult result = await RunAtRateAsync(rate, seconds, cancellationToken);
            // Requests that come faster than they are sent are another rate's.
            bool holds = constraint.Holds(result) && rate * seconds <= MostRequests;
            output.WriteLine($"            {(holds ? "held" : "missed")}");
            return holds;
        },
        double.IsPositiveInfinity(load.Rate) ? 1 : load.Rate, RatePrecision);

    /// <summary>What can be said at a stated speed of one reader.</summary>
    public IReadOnlyList<InteractivityPrice> PricesAt(IEnumerable<double> interactivities)
    {
        IReadOnlyList<SweepPoint> front = SweepPoint.ParetoFront(_points);
        List<InteractivityPrice> prices = [];
        foreach (double interactivity in interactivities)
        {
            if (InteractivityPrice.At(front, interactivity, dollarsPerHour) is not { } price)
            {
                Line($"{interactivity:G4} tokens/s for each reader: outside of what was measured");
                continue;
            }

            prices.Add(price);
            Line($"{interactivity:G4} tokens/s for each reader: {price.TokensPerSecondPerDevice:F1} tokens/s a device, interpolated");
            if (price.DollarsPerMillion is { } dollars)
            {
                Line($"    {dollars:F4} $ a million output tokens, {price.TokensPerCent:F0} tokens a cent");
            }
        }

        return prices;

        void Line(FormattableString text) => output.WriteLine(text.ToString(CultureInfo.InvariantCulture));
    }

    private async Task<ServeResult> RunAsync(ServeOptions run, CancellationToken cancellationToken)
    {
        if (_points.Count == 0)
        {
            output.WriteLine(SweepPoint.Header);
        }

        // New ids, or of a file other conversations: a run must not find in a cache what the one before has sent.
        run = run with { IdSeed = Random.Shared.Next(), Skip = _sent };
        _sent += run.Conversations;
        ServeResult result = await ServeRun.RunAsync(run, TextWriter.Null, cancellationToken);
        _points.Add(SweepPoint.Of(run, result, devices, dollarsPerHour));
        output.WriteLine(_points[^1].Row());
        return result;
    }
}
