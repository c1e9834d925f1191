using System.Text.Json;
using System.Text.Json.Nodes;

namespace LlamaServe.Bench.Report;

/// <summary>A result file of <c>serve</c>, <c>sweep</c> or <c>cost</c>, by the name of its file.</summary>
/// <param name="Root">The file's object.</param>
internal sealed record ReportSource(string Name, JsonObject Root)
{
    /// <summary>Points of a sweep; empty of other results.</summary>
    public IReadOnlyList<JsonObject> SweepPoints => [.. (Measurements?["points"] as JsonArray ?? []).OfType<JsonObject>()];

    /// <summary>Prices of tokens; null of other results.</summary>
    public JsonObject? Cost => Measurements?["cost"] as JsonObject;

    /// <summary>Whether it has the fields of <c>vllm bench serve</c>.</summary>
    public bool IsServe => Root.ContainsKey("output_throughput");

    private JsonObject? Measurements => Root["measurements"] as JsonObject;

    /// <exception cref="ArgumentException">The file is no such result.</exception>
    public static ReportSource Read(string path)
    {
        string name = Path.GetFileNameWithoutExtension(path);
        try
        {
            if (JsonNode.Parse(File.ReadAllText(path)) is JsonObject root)
            {
                ReportSource source = new(name, root);
                if (source.IsServe || source.SweepPoints.Count > 0 || source.Cost is not null)
                {
                    return source;
                }
            }
        }
        catch (JsonException exception)
        {
            throw new ArgumentException($"{name} is no JSON: {exception.Message}");
        }

        throw new ArgumentException($"{name} is no result of serve, sweep or cost");
    }

    /// <summary>A number of the file; 0 where it has none of the name.</summary>
    public double Number(string field) => Root[field] is JsonValue value && value.TryGetValue(out double number) ? number : 0;

    /// <summary>Numbers of the file, with <c>--detailed</c> one a request; empty where it has none of the name.</summary>
    public double[] Numbers(string field) => Values(Root[field]);

    /// <summary>Lists of numbers, one a request.</summary>
    public double[][] Lists(string field) => [.. (Root[field] as JsonArray ?? []).Select(Values)];

    private static double[] Values(JsonNode? node) => [.. (node as JsonArray ?? []).OfType<JsonValue>().Select(value => value.GetValue<double>())];
}
