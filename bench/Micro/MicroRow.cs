using System.Globalization;
using BenchmarkDotNet.Reports;

namespace LlamaServe.Bench.Micro;

/// <summary>One benchmark's result.</summary>
/// <param name="Name">Class, method and parameters.</param>
/// <param name="Nanoseconds">Median time of an operation.</param>
/// <param name="Ratio">The calibration's median time over this one.</param>
/// <param name="AllocatedBytes">A managed operation's.</param>
/// <param name="TokensPerSecond">Of those that go through tokens.</param>
internal sealed record MicroRow(string Name, double Nanoseconds, double Ratio, long AllocatedBytes, double? TokensPerSecond)
{
    /// <summary>Every benchmark but the calibrations, each beside the one of its class and parameters.</summary>
    /// <exception cref="InvalidOperationException">One of them failed.</exception>
    public static IEnumerable<MicroRow> Of(Summary summary)
    {
        foreach (BenchmarkReport report in summary.Reports.Where(report => !report.BenchmarkCase.Descriptor.Baseline))
        {
            BenchmarkReport calibration = summary.Reports.Single(other =>
                other.BenchmarkCase.Descriptor.Baseline && other.BenchmarkCase.Parameters.ValueInfo == report.BenchmarkCase.Parameters.ValueInfo);
            yield return Of(report, Median(calibration));
        }
    }

    private static MicroRow Of(BenchmarkReport report, double calibration)
    {
        double median = Median(report);
        bool countsTokens = report.BenchmarkCase.Descriptor.Type == typeof(TokenizerBenchmarks);
        return new MicroRow(
            NameOf(report),
            median,
            calibration / median,
            report.GcStats.GetBytesAllocatedPerOperation(report.BenchmarkCase) ?? 0,
            countsTokens ? TokenizerBenchmarks.TokenCount / median * 1e9 : null);
    }

    private static string NameOf(BenchmarkReport report)
    {
        const string Suffix = "Benchmarks";
        string type = report.BenchmarkCase.Descriptor.Type.Name[..^Suffix.Length];
        string parameters = string.Join(", ", report.BenchmarkCase.Parameters.Items.Select(
            item => string.Create(CultureInfo.InvariantCulture, $"{item.Name} {item.Value}")));
        return $"{type}.{report.BenchmarkCase.Descriptor.WorkloadMethod.Name}{(parameters.Length == 0 ? "" : $"({parameters})")}";
    }

    private static double Median(BenchmarkReport report) =>
        report.ResultStatistics?.Median ?? throw new InvalidOperationException($"{NameOf(report)} failed");
}
