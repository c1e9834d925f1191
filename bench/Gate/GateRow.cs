namespace LlamaServe.Bench.Gate;

/// <summary>What became of a row of the baseline.</summary>
internal enum GateVerdict
{
    /// <summary>As fast as before, within the tolerance, or faster.</summary>
    Kept,

    /// <summary>In the results, but not in the baseline.</summary>
    New,

    /// <summary>The ratio fell by more than the tolerance.</summary>
    Slower,

    /// <summary>More bytes are allocated than before.</summary>
    AllocatesMore,

    /// <summary>In the baseline, but not in the results.</summary>
    Missing,
}

/// <summary>A row of the baseline beside the same row of a result.</summary>
internal sealed record GateRow(string Suite, string Name, GatedValue? Before, GatedValue? Now, GateVerdict Verdict)
{
    /// <summary>Bytes by which an operation's allocations may differ: what a runtime adds now and then, divided among many operations.</summary>
    private const long FreeBytes = 8;

    public bool Fails => Verdict is not (GateVerdict.Kept or GateVerdict.New);

    /// <summary>Relative change of the ratio; below 0 is slower.</summary>
    public double? Change => Now?.Ratio / Before?.Ratio - 1;

    /// <summary>Compares suites with the baseline's of the same names.</summary>
    /// <param name="tolerance">Part of a ratio that may be lost.</param>
    /// <exception cref="ArgumentException">The baseline lacks a suite.</exception>
    public static IEnumerable<GateRow> Compare(Baseline baseline, IEnumerable<SuiteResult> results, double tolerance)
    {
        foreach (SuiteResult result in results)
        {
            IReadOnlyDictionary<string, GatedValue> before = baseline.Suites.TryGetValue(result.Suite, out SuiteResult? known)
                ? known.Rows
                : throw new ArgumentException($"the baseline has nothing of {result.Suite}; --write adds it");
            foreach (string name in before.Keys.Union(result.Rows.Keys).Order(StringComparer.Ordinal))
            {
                GatedValue? then = before.GetValueOrDefault(name), now = result.Rows.GetValueOrDefault(name);
                yield return new GateRow(result.Suite, name, then, now, Judge(then, now, tolerance));
            }
        }
    }

    private static GateVerdict Judge(GatedValue? before, GatedValue? now, double tolerance)
    {
        if (before is null || now is null)
        {
            return now is null ? GateVerdict.Missing : GateVerdict.New;
        }

        // A ratio that is no number is not as fast as before.
        return !(now.Ratio >= before.Ratio * (1 - tolerance)) ? GateVerdict.Slower
            : now.AllocatedBytes > before.AllocatedBytes * (1 + tolerance) + FreeBytes ? GateVerdict.AllocatesMore
            : GateVerdict.Kept;
    }
}
