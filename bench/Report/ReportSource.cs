using System.Text.Json;
using System.Text.Json.Nodes;
using LlamaServe.Bench.Simulation;

namespace LlamaServe.Bench.Report;

/// <summary>A result file.</summary>
/// <param name="Name">Of the file, with as much of its path as tells it apart from the others; marked where it is a prediction.</param>
/// <param name="Root">The file's object.</param>
internal sealed record ReportSource(string Name, JsonObject Root)
{
    /// <summary>Points of a sweep; empty of other results.</summary>
    public IReadOnlyList<JsonObject> SweepPoints => [.. (Measurements?["points"] as JsonArray ?? []).OfType<JsonObject>()];

    /// <summary>Prices of tokens; null of other results.</summary>
    public JsonObject? Cost => Measurements?["cost"] is JsonObject cost && cost.ContainsKey("interactivity") ? cost : null;

    /// <summary>Whether it has the fields of <c>vllm bench serve</c>.</summary>
    public bool IsServe => Root.ContainsKey("output_throughput");

    /// <summary>Whether nobody measured it.</summary>
    public bool IsPrediction => IsSimulated(Root);

    /// <summary>The verb that made it.</summary>
    public string Verb => Root["command"]?.ToString().Split(' ', StringSplitOptions.RemoveEmptyEntries).ElementAtOrDefault(1) ?? "results";

    /// <summary>Every other number in it, for a plain table.</summary>
    public IReadOnlyList<ReportFigure> Figures => IsServe || SweepPoints.Count > 0 || Cost is not null ? [] : ReportFigure.Of(this);

    private JsonObject? Measurements => Root["measurements"] as JsonObject;

    /// <exception cref="ArgumentException">A file is no result, or is named twice.</exception>
    public static IReadOnlyList<ReportSource> Read(params IReadOnlyList<string> paths)
    {
        string[] names = Names([.. paths.Select(Path.GetFullPath)]);
        return [.. paths.Select((path, i) => Read(path, names[i]))];
    }

    /// <summary>A number of the file; null where it has none of the name.</summary>
    public double? Number(string field) => NumberOf(Root, field);

    /// <summary>A number of a part of a file; null where it has none of the name.</summary>
    public static double? NumberOf(JsonObject part, string field) => part[field] is JsonValue value && value.TryGetValue(out double number) ? number : null;

    /// <summary>Numbers of the file, with <c>--detailed</c> one a request; empty where it has none of the name.</summary>
    public double[] Numbers(string field) => Values(Root[field]);

    /// <summary>Lists of numbers, one a request.</summary>
    public double[][] Lists(string field) => [.. (Root[field] as JsonArray ?? []).Select(Values)];

    private static ReportSource Read(string path, string name)
    {
        try
        {
            if (JsonNode.Parse(File.ReadAllText(path)) is JsonObject root)
            {
                ReportSource source = new(IsSimulated(root) ? $"{name} (predicted)" : name, root);
                if (source.IsServe || source.SweepPoints.Count > 0 || source.Cost is not null || source.Figures.Count > 0)
                {
                    return source;
                }
            }
        }
        catch (JsonException exception)
        {
            throw new ArgumentException($"{name} is no JSON: {exception.Message}");
        }

        throw new ArgumentException($"{name} is no result: there are no measurements in it");
    }

    // The shortest of name, name with extension, and more and more folders that no other path has.
    private static string[] Names(string[] paths)
    {
        if (paths.Distinct(StringComparer.Ordinal).Count() < paths.Length)
        {
            throw new ArgumentException("a file is named twice");
        }

        return [.. paths.Select(path => Candidates(path).First(candidate => paths.Count(other => Candidates(other).Contains(candidate)) == 1))];
    }

    private static IEnumerable<string> Candidates(string path)
    {
        yield return Path.GetFileNameWithoutExtension(path);
        string[] parts = path.Split(Path.DirectorySeparatorChar);
        for (int count = 1; count <= parts.Length; count++)
        {
            yield return string.Join('/', parts[^count..]);
        }
    }

    private static bool IsSimulated(JsonObject root) => root["backend"]?.ToString() == SimulationReport.Backend;

    private static double[] Values(JsonNode? node) => [.. (node as JsonArray ?? []).OfType<JsonValue>().Select(value => value.GetValue<double>())];
}
