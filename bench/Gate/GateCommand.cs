using System.CommandLine;
using System.Globalization;

namespace LlamaServe.Bench.Gate;

/// <summary><c>gate</c>: fails where results of <c>micro</c> and <c>kernels</c> fell behind a stored baseline.</summary>
internal static class GateCommand
{
    private static string DefaultBaseline => Path.Combine(Repository.Root, "bench", "results", "baseline.json");

    public static Command Create()
    {
        Argument<string[]> files = new("results") { Description = "Files of micro and kernels; of several of one suite the median counts.", Arity = ArgumentArity.OneOrMore };
        Option<string> baseline = new("--baseline") { Description = "What to compare with.", DefaultValueFactory = _ => DefaultBaseline };
        Option<double> tolerance = new("--tolerance") { Description = "Part of a ratio that may be lost.", DefaultValueFactory = _ => 0.25 };
        Option<bool> write = new("--write") { Description = "Make the results the baseline of their suites." };
        Command command = new("gate", "Compare ratios with a stored baseline; fails where one fell.") { files, baseline, tolerance, write };
        command.SetAction(parsed =>
        {
            SuiteResult[] results = [.. parsed.GetRequiredValue(files).Select(SuiteResult.Read)
                .GroupBy(result => result.Suite).Select(suite => SuiteResult.Median([.. suite]))];
            string path = parsed.GetRequiredValue(baseline);
            return parsed.GetValue(write)
                ? Write(path, results)
                : Check(Baseline.Read(path), results, parsed.GetValue(tolerance), Console.Out);
        });
        return command;
    }

    /// <returns>0, or 1 where a row fails.</returns>
    internal static int Check(Baseline baseline, IReadOnlyList<SuiteResult> results, double tolerance, TextWriter output)
    {
        if (tolerance is not (>= 0 and < 1))
        {
            throw new ArgumentException("--tolerance is at least 0 and less than 1");
        }

        GateRow[] rows = [.. GateRow.Compare(baseline, results, tolerance)];
        output.WriteLine("| suite | row | baseline | now | change | verdict |");
        output.WriteLine("|---|---|--:|--:|--:|---|");
        foreach (GateRow row in rows.OrderByDescending(row => row.Fails).ThenBy(row => row.Change ?? 0))
        {
            output.WriteLine($"| {row.Suite} | {row.Name} | {Text(row.Before)} | {Text(row.Now)} | {Percent(row.Change)} | {Text(row)} |");
        }

        foreach (SuiteResult result in results.Where(result => baseline.Suites[result.Suite].Processor != result.Processor))
        {
            output.WriteLine($"{result.Suite} was measured on {result.Processor}, its baseline on {baseline.Suites[result.Suite].Processor}: ratios differ between processors too.");
        }

        int failed = rows.Count(row => row.Fails);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{failed} of {rows.Length} rows failed; tolerance {tolerance:P0}"));
        return failed == 0 ? 0 : 1;
    }

    private static int Write(string path, IEnumerable<SuiteResult> results)
    {
        (File.Exists(path) ? Baseline.Read(path) : Baseline.Empty).With(results).Save(path);
        Console.WriteLine(path);
        return 0;
    }

    private static string Text(GatedValue? value) => value is null ? "" : string.Create(
        CultureInfo.InvariantCulture, $"{value.Ratio:G4}{(value.AllocatedBytes is { } bytes ? $", {bytes} B" : "")}");

    private static string Text(GateRow row) => row.Fails ? $"**{row.Verdict}**" : row.Verdict.ToString();

    private static string Percent(double? value) => value is null ? "" : string.Create(CultureInfo.InvariantCulture, $"{value:+0.0 %;-0.0 %}");
}
