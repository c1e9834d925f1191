using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;

namespace LlamaServe.Bench.Report;

/// <summary>One page with everything in it: tables and charts of result files, readable in light and in dark.</summary>
internal static class HtmlReport
{
    private const string Head = """
        <!doctype html>
        <html lang="en">
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width">
        <title>LlamaServe: measurements</title>
        <style>
        :root { color-scheme: light dark; }
        body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
        table { border-collapse: collapse; margin: 1rem 0; }
        th, td { padding: .2rem .8rem; border-bottom: 1px solid #8884; text-align: right; }
        th:first-child, td:first-child { text-align: left; }
        svg { max-width: 100%; height: auto; }
        code { overflow-wrap: anywhere; }
        </style>

        """;

    private static readonly (string Title, string Field)[] Columns =
    [
        ("requests/s", "request_throughput"), ("output tokens/s", "output_throughput"), ("goodput/s", "request_goodput"),
        ("TTFT p50 ms", "median_ttft_ms"), ("TTFT p99 ms", "p99_ttft_ms"), ("TPOT p50 ms", "median_tpot_ms"),
        ("TPOT p99 ms", "p99_tpot_ms"), ("failed", "failed"),
    ];

    public static string Of(IReadOnlyList<ReportSource> sources, IReadOnlyList<Chart> charts)
    {
        StringBuilder page = new(Head);
        page.AppendLine("<h1>Measurements</h1>");
        AddServe(page, [.. sources.Where(source => source.IsServe)]);
        AddCost(page, [.. sources.Where(source => source.Cost is not null)]);
        for (int i = 0; i < charts.Count; i++)
        {
            page.AppendLine($"<figure>{charts[i].ToSvg($"c{i}-")}</figure>");
        }

        AddSources(page, sources);
        return page.ToString();
    }

    private static void AddServe(StringBuilder page, ReportSource[] sources)
    {
        if (sources.Length > 0)
        {
            Table(page, ["", .. Columns.Select(column => column.Title)], sources.Select(source =>
                (string[])[source.Name, .. Columns.Select(column => Text(source.Number(column.Field)))]));
        }
    }

    private static void AddCost(StringBuilder page, ReportSource[] sources)
    {
        if (sources.Length > 0)
        {
            Table(page, ["$ a million tokens", "input", "cached input", "output", "one reader's tokens/s"], sources.Select(source =>
                (string[])[source.Name, Price(source, "input"), Price(source, "cached_input"), Price(source, "output"), Text(source.Cost!["interactivity"]!.GetValue<double>())]));

            static string Price(ReportSource source, string kind) => source.Cost![kind] is { } price ? Text(price["dollars_per_million"]!.GetValue<double>()) : "none";
        }
    }

    // What is needed to repeat and to judge each.
    private static void AddSources(StringBuilder page, IReadOnlyList<ReportSource> sources)
    {
        page.AppendLine("<h2>Where the numbers come from</h2>");
        Table(page, ["file", "date", "commit", "machine", "command"], sources.Select(source => (string[])
            [source.Name, Field(source, "date"), Field(source, "commit"), Machine(source), Field(source, "command")]));

        static string Field(ReportSource source, string name) => source.Root[name]?.ToString() ?? "";

        static string Machine(ReportSource source) => source.Root["machine"] is JsonObject machine
            ? $"{machine["processor"]}, {machine["logical_processors"]} cores, {machine["operating_system"]}"
            : "";
    }

    private static void Table(StringBuilder page, string[] titles, IEnumerable<string[]> rows)
    {
        page.AppendLine("<table>").AppendLine($"<tr>{string.Concat(titles.Select(title => $"<th>{WebUtility.HtmlEncode(title)}</th>"))}</tr>");
        foreach (string[] row in rows)
        {
            page.AppendLine($"<tr>{string.Concat(row.Select(cell => $"<td>{WebUtility.HtmlEncode(cell)}</td>"))}</tr>");
        }

        page.AppendLine("</table>");
    }

    private static string Text(double value) => value.ToString(Math.Abs(value) >= 100 ? "F0" : "G4", CultureInfo.InvariantCulture);
}
