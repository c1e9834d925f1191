namespace LlamaServe.Bench.Frontend;

/// <summary>What set a collection off, as GCStart's Reason counts.</summary>
internal enum PauseCause
{
    AllocationSmall,
    Induced,
    LowMemory,
    Empty,
    AllocationLarge,
    OutOfSpaceSmall,
    OutOfSpaceLarge,
    InducedNotForced,
    Internal,
    InducedLowMemory,
    InducedCompacting,
    LowMemoryHost,
    Full,
    LowMemoryHostBlocking,
}

/// <summary>One pause of all threads by the garbage collector.</summary>
/// <param name="Milliseconds">From the first thread that is stopped to all threads running.</param>
/// <param name="SuspensionMilliseconds">The part of it until all threads have stopped.</param>
/// <param name="Generation">Oldest generation collected.</param>
/// <param name="PromotedBytes">Bytes that survived.</param>
internal readonly record struct Pause(
    double Milliseconds, double SuspensionMilliseconds, int Generation, PauseCause Cause, long PromotedBytes);

/// <summary>Pauses of a run.</summary>
/// <param name="TotalMilliseconds">Of all of them together.</param>
/// <param name="Above5Milliseconds">How many were longer than the goal.</param>
/// <param name="Suspension">Time until all threads had stopped, a part of each pause.</param>
/// <param name="Generations">[g] pauses of collections up to generation g.</param>
/// <param name="Longest">The longest ones, longest first.</param>
internal sealed record PauseSummary(
    int Count, double TotalMilliseconds, int Above5Milliseconds, Quantiles Milliseconds, Quantiles Suspension, int[] Generations, Pause[] Longest)
{
    private const double GoalMilliseconds = 5;
    private const int Kept = 20;

    public static PauseSummary Of(IReadOnlyCollection<Pause> pauses) => new(
        pauses.Count,
        pauses.Sum(pause => pause.Milliseconds),
        pauses.Count(pause => pause.Milliseconds > GoalMilliseconds),
        Quantiles.Of(pauses.Select(pause => pause.Milliseconds)),
        Quantiles.Of(pauses.Select(pause => pause.SuspensionMilliseconds)),
        [.. Enumerable.Range(0, 3).Select(generation => pauses.Count(pause => pause.Generation == generation))],
        [.. pauses.OrderByDescending(pause => pause.Milliseconds).Take(Kept)]);

    public override string ToString() =>
        $"{Count} pauses, {Milliseconds} ms, {Above5Milliseconds} above {GoalMilliseconds} ms; until all threads had stopped {Suspension} ms";
}

/// <summary>Median, 99th percentile and maximum; 0 of nothing.</summary>
internal readonly record struct Quantiles(double P50, double P99, double Max)
{
    public static Quantiles Of(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted.Length == 0 ? default : new Quantiles(At(sorted, 0.5), At(sorted, 0.99), sorted[^1]);
    }

    public override string ToString() => $"p50 {P50:F2} p99 {P99:F2} max {Max:F2}";

    private static double At(double[] sorted, double fraction) => sorted[(int)(fraction * (sorted.Length - 1))];
}
