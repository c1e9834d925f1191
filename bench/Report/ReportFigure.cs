using System.Text.Json.Nodes;
using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Report;

/// <summary>A number in a result file of no kind that has a table or a chart of its own.</summary>
/// <param name="Row">What it is of: what the objects around it call themselves.</param>
/// <param name="Measure">The names of its field and of the fields around it.</param>
internal sealed record ReportFigure(string Row, string Measure, double Value)
{
    /// <summary>What every result file says of itself.</summary>
    private static readonly string[] Origin = ["command", "date", "commit", "machine", "limits"];

    /// <summary>Texts of an object that do not say what it is.</summary>
    private static readonly string[] Remarks = ["arithmetic", "note", "source"];

    /// <summary>
    /// All of a file, in its order. Objects of an array without a text to tell them apart are measurements of the same: their
    /// medians count. Single rounds, of which the file has medians, are left out.
    /// </summary>
    public static IReadOnlyList<ReportFigure> Of(ReportSource source)
    {
        List<ReportFigure> all = [];
        foreach ((string name, JsonNode? value) in source.Root.Where(field => !Origin.Contains(field.Key)))
        {
            Add(all, "", name == "measurements" ? "" : name.Replace('_', ' '), value);
        }

        return
        [
            .. all.Concat(Peers(source)).GroupBy(figure => (figure.Row, figure.Measure))
                .Select(same => new ReportFigure(same.Key.Row, same.Key.Measure, new Distribution(same.Select(figure => figure.Value)).Median)),
        ];
    }

    private static void Add(List<ReportFigure> all, string row, string measure, JsonNode? node)
    {
        switch (node)
        {
            case JsonValue value when value.TryGetValue(out double number):
                all.Add(new ReportFigure(row, measure, number));
                break;
            case JsonArray elements:
                foreach (JsonObject element in elements.OfType<JsonObject>())
                {
                    Add(all, Join(row, NameOf(element), ", "), measure is "rows" or "comparisons" ? "" : measure, element);
                }

                break;
            case JsonObject fields:
                foreach ((string name, JsonNode? value) in fields.Where(field => !field.Key.EndsWith("rounds", StringComparison.Ordinal)))
                {
                    Add(all, row, Join(measure, name.Replace('_', ' '), " "), value);
                }

                break;
        }
    }

    // The file has both medians, but not what everybody looks for.
    private static IEnumerable<ReportFigure> Peers(ReportSource source)
    {
        JsonNode? measurements = source.Root["measurements"];
        JsonArray comparisons = measurements as JsonArray ?? (measurements as JsonObject)?["comparisons"] as JsonArray ?? [];
        foreach (JsonObject comparison in comparisons.OfType<JsonObject>())
        {
            if (comparison["peer_median"] is JsonObject peer && comparison["our_median"] is JsonObject ours)
            {
                foreach (string field in ours.Select(field => field.Key))
                {
                    if (ReportSource.NumberOf(ours, field) / ReportSource.NumberOf(peer, field) is { } ratio)
                    {
                        yield return new ReportFigure(NameOf(comparison), $"ours / peer, {field.Replace('_', ' ')}", ratio);
                    }
                }
            }
        }
    }

    private static string NameOf(JsonObject element) => element["name"]?.ToString() is { } name
        ? name
        : string.Join(", ", element.Where(field => !Remarks.Contains(field.Key)).Select(field => field.Value).OfType<JsonValue>()
            .Where(value => value.TryGetValue(out string? _)).Select(value => value.ToString()));

    private static string Join(string first, string second, string between) => first.Length == 0 || second.Length == 0 ? first + second : first + between + second;
}
