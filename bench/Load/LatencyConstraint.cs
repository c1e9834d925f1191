namespace LlamaServe.Bench.Load;

/// <summary>99th percentiles that a server has to keep under load, as MLPerf Inference's server and interactive scenarios set them.</summary>
/// <param name="Name">E.g. llama2-70b-interactive.</param>
/// <param name="TimeToFirstToken">Seconds.</param>
/// <param name="TimePerToken">Seconds.</param>
internal sealed record LatencyConstraint(string Name, double TimeToFirstToken, double TimePerToken)
{
    /// <summary>Of MLPerf Inference's rules, as of July 2026.</summary>
    public static IReadOnlyList<LatencyConstraint> Known { get; } =
    [
        new("llama2-70b", 2, 0.2),
        new("llama2-70b-interactive", 0.45, 0.04),
        new("llama3.1-8b", 2, 0.1),
        new("llama3.1-8b-interactive", 0.5, 0.03),
        new("llama3.1-405b", 6, 0.175),
        new("llama3.1-405b-interactive", 4.5, 0.08),
    ];

    /// <exception cref="ArgumentException">There is none of this name.</exception>
    public static LatencyConstraint Named(string name) => Known.FirstOrDefault(constraint => constraint.Name == name)
        ?? throw new ArgumentException($"there is no constraint \"{name}\"; there are {string.Join(", ", Known.Select(known => known.Name))}");

    /// <summary>Whether nothing failed and both percentiles are kept.</summary>
    public bool Holds(ServeResult result) =>
        result is { Failed: 0, Completed: > 0 }
        && result.TimeToFirstToken.Percentile(99) <= TimeToFirstToken
        && result.TimePerToken.Percentile(99) <= TimePerToken;
}
