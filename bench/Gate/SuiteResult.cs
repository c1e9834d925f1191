using System.Text.Json;
using System.Text.Json.Nodes;

namespace LlamaServe.Bench.Gate;

/// <summary>What a gate compares of a row: never a time.</summary>
/// <param name="Ratio">Speed as a multiple of something that was measured in the same run.</param>
/// <param name="AllocatedBytes">An operation's, where they were counted.</param>
internal sealed record GatedValue(double Ratio, long? AllocatedBytes);

/// <summary>The rows of one result file that have a ratio.</summary>
/// <param name="Suite">Which verb made it.</param>
/// <param name="Processor">What it was measured on.</param>
internal sealed record SuiteResult(string Suite, string Processor, IReadOnlyDictionary<string, GatedValue> Rows)
{
    /// <exception cref="ArgumentException">The file is no result of <c>micro</c> or <c>kernels</c>.</exception>
    public static SuiteResult Read(string path)
    {
        try
        {
            JsonNode root = JsonNode.Parse(File.ReadAllText(path))!;
            JsonNode measurements = root["measurements"]!;
            return new SuiteResult(
                measurements["suite"]!.GetValue<string>(),
                root["machine"]!["processor"]!.GetValue<string>(),
                measurements["rows"]!.AsArray().Where(row => row!["ratio"] is not null)
                    .ToDictionary(row => row!["name"]!.GetValue<string>(), row => Value(row!), StringComparer.Ordinal));
        }
        catch (Exception exception) when (exception is JsonException or NullReferenceException or InvalidOperationException or ArgumentException)
        {
            throw new ArgumentException($"{path} is no result of micro or kernels: {exception.Message}", exception);
        }
    }

    /// <summary>Results of a suite as one: of each row the median, since a single run may have met a busy moment.</summary>
    /// <param name="results">Of the same suite; at least one.</param>
    public static SuiteResult Median(IReadOnlyList<SuiteResult> results) => results[0] with
    {
        Rows = results.SelectMany(result => result.Rows).GroupBy(row => row.Key, row => row.Value, StringComparer.Ordinal)
            .ToDictionary(row => row.Key, row => new GatedValue(Median([.. row.Select(value => value.Ratio)]), row.Max(value => value.AllocatedBytes)), StringComparer.Ordinal),
    };

    private static double Median(double[] values)
    {
        Array.Sort(values);
        return (values[(values.Length - 1) / 2] + values[values.Length / 2]) / 2;
    }

    private static GatedValue Value(JsonNode row) => new(row["ratio"]!.GetValue<double>(), row["allocated_bytes"]?.GetValue<long>());
}
