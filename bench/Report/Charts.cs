using System.Text.Json.Nodes;

namespace LlamaServe.Bench.Report;

/// <summary>The charts of a report, each over all files that have what it shows.</summary>
internal static class Charts
{
    private const int Seconds = 1;

    /// <summary>All that have at least one curve.</summary>
    public static IReadOnlyList<Chart> Of(IReadOnlyList<ReportSource> sources) =>
    [
        .. new[]
        {
            Pareto(sources), Price(sources),
            Share("Time to first token", sources, source => source.Numbers("ttfts").Where((_, i) => Succeeded(source, i))),
            Share("Time between pieces", sources, source => source.Lists("itls").SelectMany(gaps => gaps)),
            OverTime(sources),
        }.Where(chart => !chart.IsEmpty),
    ];

    private static Chart Pareto(IReadOnlyList<ReportSource> sources)
    {
        Chart chart = new("Throughput against each reader's speed", "output tokens/s of one reader", "output tokens/s of a device");
        foreach (ReportSource source in sources)
        {
            JsonObject[] points = [.. source.SweepPoints.OrderBy(point => Value(point, "tokens_per_second_per_user"))];
            chart.Add(
                source.Name, [.. points.Select(point => Value(point, "tokens_per_second_per_user"))],
                [.. points.Select(point => Value(point, "tokens_per_second_per_device"))], marksPoints: true);
        }

        return chart;
    }

    private static Chart Price(IReadOnlyList<ReportSource> sources)
    {
        Chart chart = new("Price against each reader's speed", "output tokens/s of one reader", "$ a million output tokens");
        foreach (ReportSource source in sources)
        {
            JsonObject[] points =
            [
                .. source.SweepPoints.Where(point => Value(point, "dollars_per_million") > 0).OrderBy(point => Value(point, "tokens_per_second_per_user")),
            ];
            chart.Add(
                source.Name, [.. points.Select(point => Value(point, "tokens_per_second_per_user"))],
                [.. points.Select(point => Value(point, "dollars_per_million"))], marksPoints: true);
        }

        return chart;
    }

    // The part of all values that are at most so long.
    private static Chart Share(string title, IReadOnlyList<ReportSource> sources, Func<ReportSource, IEnumerable<double>> seconds)
    {
        Chart chart = new(title, "milliseconds", "part of all that took at most as long");
        foreach (ReportSource source in sources)
        {
            double[] sorted = [.. seconds(source).Select(value => 1000 * value).Order()];
            chart.Add(source.Name, sorted, [.. sorted.Select((_, i) => (i + 1.0) / sorted.Length)], marksPoints: false);
        }

        return chart;
    }

    private static Chart OverTime(IReadOnlyList<ReportSource> sources)
    {
        Chart chart = new("Output over time", "seconds", "output tokens/s");
        foreach (ReportSource source in sources)
        {
            double[] bins = Bins(source);
            chart.Add(source.Name, [.. bins.Select((_, i) => (i + 0.5) * Seconds)], bins, marksPoints: false);
        }

        return chart;
    }

    // A piece may hold several tokens, which the file does not tell apart: each counts as its answer's mean.
    private static double[] Bins(ReportSource source)
    {
        double[] starts = source.Numbers("start_times"), first = source.Numbers("ttfts"), tokens = source.Numbers("output_lens");
        double[][] gaps = source.Lists("itls");
        List<double> bins = [];
        for (int request = 0; request < starts.Length; request++)
        {
            double time = starts[request] + first[request], share = tokens[request] / (gaps[request].Length + 1);
            Add(time, share);
            foreach (double gap in gaps[request])
            {
                Add(time += gap, share);
            }
        }

        return [.. bins];

        void Add(double time, double share)
        {
            int bin = (int)(time / Seconds);
            while (bins.Count <= bin)
            {
                bins.Add(0);
            }

            bins[bin] += share / Seconds;
        }
    }

    private static bool Succeeded(ReportSource source, int request) =>
        source.Root["errors"] is not JsonArray errors || errors[request]?.GetValue<string>() is null or "";

    private static double Value(JsonObject point, string field) => point[field] is JsonValue value ? value.GetValue<double>() : 0;
}
