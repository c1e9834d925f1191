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
        body { color: CanvasText; background: Canvas; font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
        table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
        th, td { padding: .2rem .8rem; border-bottom: 1px solid #8884; text-align: right; }
        th:first-child, td:first-child { text-align: left; }
        svg { max-width: 100%; height: auto; }
        code { overflow-wrap: anywhere; }
        </style>

        """;

    public static string Of(IReadOnlyList<ReportSource> sources, IReadOnlyList<Chart> charts)
    {
        StringBuilder page = new(Head);
        page.AppendLine("<h1>Measurements</h1>");
        if (sources.Any(source => source.IsPrediction))
        {
            page.AppendLine("<p>What is marked as predicted was simulated from a cost model; nobody measured it. Its curves are dashed.</p>");
        }

        foreach (ReportTable table in ReportTable.Of(sources))
        {
            page.AppendLine($"<h2>{WebUtility.HtmlEncode(table.Title)}</h2>");
            Table(page, table.Columns, table.Rows);
        }

        for (int i = 0; i < charts.Count; i++)
        {
            page.AppendLine($"<figure>{charts[i].ToSvg($"c{i}-")}</figure>");
        }

        AddSources(page, sources);
        return page.ToString();
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

    private static void Table(StringBuilder page, IEnumerable<string> titles, IEnumerable<string[]> rows)
    {
        page.AppendLine("<table>").AppendLine($"<tr>{string.Concat(titles.Select(title => $"<th>{WebUtility.HtmlEncode(title)}</th>"))}</tr>");
        foreach (string[] row in rows)
        {
            page.AppendLine($"<tr>{string.Concat(row.Select(cell => $"<td>{WebUtility.HtmlEncode(cell)}</td>"))}</tr>");
        }

        page.AppendLine("</table>");
    }
}
