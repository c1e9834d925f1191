using System.CommandLine;

namespace LlamaServe.Bench.Report;

/// <summary><c>report</c>: a page with charts from result files, to read and to compare.</summary>
internal static class ReportCommand
{
    public static Command Create()
    {
        Argument<FileInfo[]> files = new("files") { Description = "Results of serve (with --detailed for curves), sweep and cost.", Arity = ArgumentArity.OneOrMore };
        Option<string> output = new("--output") { Description = "The page.", DefaultValueFactory = _ => "report.html" };
        Option<string?> png = new("--png") { Description = "The first chart as an image, too." };
        Command command = new("report", "Make one self-contained HTML page of result files.") { files, output, png };
        command.SetAction(parsed =>
        {
            ReportSource[] sources = [.. parsed.GetRequiredValue(files).Select(file => ReportSource.Read(file.FullName))];
            IReadOnlyList<Chart> charts = Charts.Of(sources);
            File.WriteAllText(parsed.GetRequiredValue(output), HtmlReport.Of(sources, charts));
            Console.WriteLine($"{parsed.GetRequiredValue(output)}: {sources.Length} results, {charts.Count} charts");
            if (parsed.GetValue(png) is { } image)
            {
                if (charts.Count == 0)
                {
                    throw new ArgumentException("there is no chart to save: curves need sweeps, or results with --detailed");
                }

                charts[0].SavePng(image);
            }
        });
        return command;
    }
}
