using System.CommandLine;

namespace LlamaServe.Bench.Report;

/// <summary><c>report</c>: a page with charts from result files, to read and to compare.</summary>
internal static class ReportCommand
{
    public static Command Create()
    {
        Argument<FileInfo[]> files = new("files") { Description = "Results; curves need serve --detailed or sweep. Others are compared with the first of their kind.", Arity = ArgumentArity.OneOrMore };
        Option<string> output = new("--output") { Description = "The page.", DefaultValueFactory = _ => "report.html" };
        Option<string?> png = new("--png") { Description = "A chart as an image, too." };
        Option<string?> name = new("--chart") { Description = "Which one: pareto, price, ttft, itl, e2el or output; by default the first that there is." };
        Command command = new("report", "Make one self-contained HTML page of result files.") { files, output, png, name };
        command.SetAction(parsed =>
        {
            IReadOnlyList<ReportSource> sources = ReportSource.Read([.. parsed.GetRequiredValue(files).Select(file => file.FullName)]);
            IReadOnlyList<Chart> charts = Charts.Of(sources);
            string? image = parsed.GetValue(png);
            if (image is null && parsed.GetValue(name) is not null)
            {
                throw new ArgumentException("--chart needs --png");
            }

            Chart? chosen = image is null ? null : Choose(charts, parsed.GetValue(name));
            File.WriteAllText(parsed.GetRequiredValue(output), HtmlReport.Of(sources, charts));
            chosen?.SavePng(image!);
            Console.WriteLine($"{parsed.GetRequiredValue(output)}: {sources.Count} results, {charts.Count} charts");
        });
        return command;
    }

    /// <param name="key">Null: the first.</param>
    /// <exception cref="ArgumentException">There is none.</exception>
    public static Chart Choose(IReadOnlyList<Chart> charts, string? key) => charts.FirstOrDefault(chart => key is null || chart.Key == key)
        ?? throw new ArgumentException(charts.Count == 0
            ? "there is no chart to save: curves need sweeps, or results with --detailed"
            : $"there is no chart \"{key}\"; there are {string.Join(", ", charts.Select(chart => chart.Key))}");
}
