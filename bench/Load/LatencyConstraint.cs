namespace LlamaServe.Bench.Load;

/// <summary>99th percentiles that a server has to keep under load, as MLPerf Inference's server and interactive scenarios set them.</summary>
/// <param name="Name">E.g. llama2-70b-interactive.</param>
/// <param name="TimeToFirstToken">Seconds.</param>
/// <param name="TimePerToken">Seconds.</param>
/// <param name="DataSet">Whose prompts MLPerf sends, with the lengths that its rules name; they are not part of this program.</param>
internal sealed record LatencyConstraint(string Name, double TimeToFirstToken, double TimePerToken, string DataSet)
{
    private const string OpenOrca = "OpenOrca (24,576 prompts of at most 1024 tokens, answers of at most 1024, 294 in the mean)";
    private const string CnnDailyMail = "CNN/DailyMail (13,368 articles, answers of at most 128 tokens)";
    private const string Mixed = "parts of LongBench, LongDataCollections, RULER and GovReport";

    /// <summary>Of MLPerf Inference's rules, as of July 2026.</summary>
    public static IReadOnlyList<LatencyConstraint> Known { get; } =
    [
        new("llama2-70b", 2, 0.2, OpenOrca),
        new("llama2-70b-interactive", 0.45, 0.04, OpenOrca),
        new("llama3.1-8b", 2, 0.1, CnnDailyMail),
        new("llama3.1-8b-interactive", 0.5, 0.03, CnnDailyMail),
        new("llama3.1-405b", 6, 0.175, Mixed),
        new("llama3.1-405b-interactive", 4.5, 0.08, Mixed),
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
