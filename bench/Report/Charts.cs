using System.Text.Json.Nodes;

namespace LlamaServe.Bench.Report;

/// <summary>The charts of a report, each over all files that have what it shows.</summary>
internal static class Charts
{
    private const int Seconds = 1;
    private const string Reader = "output tokens/s of one reader";

    /// <summary>Points of a distribution's curve at most.</summary>
    private const int Quantiles = 500;

    /// <summary>All that have at least one curve.</summary>
    public static IReadOnlyList<Chart> Of(IReadOnlyList<ReportSource> sources) =>
    [
        .. new[]
        {
            OfSweeps(sources, new Chart("pareto", "Throughput against each reader's speed", Reader, "output tokens/s of a device"), "tokens_per_second_per_device"),
            OfSweeps(sources, new Chart("price", "Price against each reader's speed", Reader, "$ a million output tokens"), "dollars_per_million"),
            Share("ttft", "Time to first token", sources, source => source.Numbers("ttfts").Where((_, i) => Succeeded(source, i))),
            Share("itl", "Time between pieces", sources, source => source.Lists("itls").SelectMany(gaps => gaps)),
            Share("e2el", "Whole answer", sources, source => source.Numbers("ttfts").Zip(source.Lists("itls"), (first, gaps) => first + gaps.Sum()).Where((_, i) => Succeeded(source, i))),
            OverTime(sources),
        }.Where(chart => !chart.IsEmpty),
    ];

    // Marks say how many requests were in flight, or at which rate they came.
    private static Chart OfSweeps(IReadOnlyList<ReportSource> sources, Chart chart, string up)
    {
        foreach (ReportSource source in sources)
        {
            (double X, double Y, string Label)[] points =
            [
                .. source.SweepPoints.Where(point => ReportSource.NumberOf(point, up) is not null)
                    .Select(point => (ReportSource.NumberOf(point, "tokens_per_second_per_user") ?? 0, ReportSource.NumberOf(point, up)!.Value, LoadOf(point)))
                    .OrderBy(point => point.Item1),
            ];
            chart.Add(source.Name, [.. points.Select(point => point.X)], [.. points.Select(point => point.Y)], source.IsPrediction, [.. points.Select(point => point.Label)]);
        }

        return chart;
    }

    private static string LoadOf(JsonObject point) => point["concurrency"]?.ToString() ?? (point["rate"] is { } rate ? $"{rate}/s" : "");

    // The part of all values that are at most so long.
    private static Chart Share(string key, string title, IReadOnlyList<ReportSource> sources, Func<ReportSource, IEnumerable<double>> seconds)
    {
        Chart chart = new(key, title, "milliseconds", "part of all that took at most as long");
        foreach (ReportSource source in sources)
        {
            (double[] values, double[] shares) = Cumulative([.. seconds(source).Select(value => 1000 * value)]);
            chart.Add(source.Name, values, shares, source.IsPrediction);
        }

        return chart;
    }

    /// <summary>The part of all values that are at most as large as each: of many, evenly spread quantiles with the smallest and the largest.</summary>
    public static (double[] Values, double[] Shares) Cumulative(double[] values)
    {
        Array.Sort(values);
        int count = Math.Min(values.Length, Quantiles);
        int[] ranks = [.. Enumerable.Range(0, count).Select(i => count == 1 ? 0 : (int)((long)i * (values.Length - 1) / (count - 1)))];
        return ([.. ranks.Select(rank => values[rank])], [.. ranks.Select(rank => (rank + 1.0) / values.Length)]);
    }

    private static Chart OverTime(IReadOnlyList<ReportSource> sources)
    {
        Chart chart = new("output", "Output over time", "seconds", "output tokens/s");
        foreach (ReportSource source in sources)
        {
            double[] bins = Bins(source);
            chart.Add(source.Name, [.. bins.Select((_, i) => (i + 0.5) * Seconds)], bins, source.IsPrediction);
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
}
