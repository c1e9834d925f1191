using System.Globalization;
using System.Text.Json.Nodes;

namespace LlamaServe.Bench.Report;

/// <summary>A table of a report; what a file does not have is a dash.</summary>
internal sealed record ReportTable(string Title, IReadOnlyList<string> Columns, IReadOnlyList<string[]> Rows)
{
    private const string None = "–";

    /// <summary>Measures that become columns; of more, and of several files, each has a row.</summary>
    private const int MostColumns = 10;

    private static readonly (string Title, string Field)[] Serve =
    [
        ("requests/s", "request_throughput"), ("output tokens/s", "output_throughput"), ("goodput/s", "request_goodput"),
        ("TTFT p50 ms", "median_ttft_ms"), ("TTFT p99 ms", "p99_ttft_ms"), ("TPOT p50 ms", "median_tpot_ms"),
        ("TPOT p99 ms", "p99_tpot_ms"), ("whole answer p50 ms", "median_e2el_ms"), ("failed", "failed"),
    ];

    private static readonly (string Title, string Field)[] Compared =
        [("output tokens/s", "output_throughput"), ("TTFT p50", "median_ttft_ms"), ("TPOT p50", "median_tpot_ms")];

    private static readonly (string Title, string Field, double Scale)[] Sweep =
    [
        ("in flight", "concurrency", 1), ("requests/s sent", "rate", 1), ("tokens/s of one reader", "tokens_per_second_per_user", 1),
        ("tokens/s of a device", "tokens_per_second_per_device", 1), ("TTFT p50 ms", "median_time_to_first_token", 1000),
        ("TPOT p99 ms", "p99_time_per_token", 1000), ("$ a million output tokens", "dollars_per_million", 1), ("failed", "failed", 1),
    ];

    private static readonly string[] Kinds = ["input", "cached_input", "output"];

    /// <summary>All that have at least one row. Where there are several files of a kind, each is compared with the first.</summary>
    public static IReadOnlyList<ReportTable> Of(IReadOnlyList<ReportSource> sources) =>
    [
        .. new[]
        {
            OfServe([.. sources.Where(source => source.IsServe)]), OfSweeps([.. sources.Where(source => source.SweepPoints.Count > 0)]),
            OfCosts([.. sources.Where(source => source.Cost is not null)]),
        }.Where(table => table.Rows.Count > 0),
        .. sources.Where(source => source.Figures.Count > 0).GroupBy(source => source.Verb).Select(kind => OfFigures(kind.Key, [.. kind])),
    ];

    private static ReportTable OfServe(ReportSource[] sources)
    {
        IEnumerable<(string Title, string Field)> compared = sources.Length > 1 ? Compared : [];
        return new ReportTable(
            "Load",
            ["", .. Serve.Select(column => column.Title), .. compared.Select(column => $"{column.Title} ÷ first")],
            [.. sources.Select(source => (string[])
                [source.Name, .. Serve.Select(column => Text(source.Number(column.Field))), .. compared.Select(column => Ratio(source.Number(column.Field), sources[0].Number(column.Field)))])]);
    }

    private static ReportTable OfSweeps(ReportSource[] sources)
    {
        const string Compared = "tokens_per_second_per_device";
        return new ReportTable(
            "Sweeps",
            ["", .. Sweep.Select(column => column.Title), .. sources.Length > 1 ? (string[])["tokens/s of a device ÷ first"] : []],
            [.. sources.SelectMany(source => source.SweepPoints.Select(point => (string[])
                [source.Name, .. Sweep.Select(column => Text(column.Scale * ReportSource.NumberOf(point, column.Field))), .. sources.Length > 1 ? (string[])[Against(point)] : []]))]);

        // What the first file has of the same load.
        string Against(JsonObject point) => Ratio(
            ReportSource.NumberOf(point, Compared),
            sources[0].SweepPoints.FirstOrDefault(first => Same(first, point, "concurrency") && Same(first, point, "rate")) is { } same
                ? ReportSource.NumberOf(same, Compared)
                : null);

        static bool Same(JsonObject a, JsonObject b, string field) => ReportSource.NumberOf(a, field) == ReportSource.NumberOf(b, field);
    }

    private static ReportTable OfCosts(ReportSource[] sources)
    {
        return new ReportTable(
            "Cost",
            ["$ a million tokens", "input", "cached input", "output", "one reader's tokens/s", .. sources.Length > 1 ? (string[])["output ÷ first"] : []],
            [.. sources.Select(source => (string[])
            [
                source.Name, .. Kinds.Select(kind => Text(Price(source, kind))), Text(ReportSource.NumberOf(source.Cost!, "interactivity")),
                .. sources.Length > 1 ? (string[])[Ratio(Price(source, "output"), Price(sources[0], "output"))] : [],
            ])]);

        static double? Price(ReportSource source, string kind) =>
            source.Cost![kind] is JsonObject cost ? ReportSource.NumberOf(cost, "dollars_per_million") : null;
    }

    private static ReportTable OfFigures(string verb, ReportSource[] sources)
    {
        ReportFigure[] first = [.. sources[0].Figures];
        string[] measures = [.. first.Select(figure => figure.Measure).Distinct()];
        return sources.Length == 1 && measures.Length <= MostColumns && first.Any(figure => figure.Row != first[0].Row)
            ? ByMeasure(verb, first, measures)
            : Compare(verb, sources);
    }

    private static ReportTable ByMeasure(string verb, ReportFigure[] figures, string[] measures) => new(
        verb,
        ["", .. measures],
        [.. figures.GroupBy(figure => figure.Row).Select(row => (string[])
            [row.Key, .. measures.Select(measure => Text(row.FirstOrDefault(figure => figure.Measure == measure)?.Value))])]);

    private static ReportTable Compare(string verb, ReportSource[] sources)
    {
        Dictionary<(string, string), double>[] values =
            [.. sources.Select(source => source.Figures.ToDictionary(figure => (figure.Row, figure.Measure), figure => figure.Value))];
        ReportSource[] others = sources[1..];
        return new ReportTable(
            verb,
            ["", "", .. sources.Select(source => source.Name), .. others.Select(source => $"{source.Name} ÷ first")],
            [.. values.SelectMany(file => file.Keys).Distinct().Select(key => (string[])
            [
                key.Item1, key.Item2, .. values.Select(file => Text(Value(file, key))),
                .. values.Skip(1).Select(file => Ratio(Value(file, key), Value(values[0], key))),
            ])]);

        static double? Value(Dictionary<(string, string), double> file, (string, string) key) => file.TryGetValue(key, out double value) ? value : null;
    }

    private static string Ratio(double? value, double? first) => first is 0 ? None : Text(value / first);

    private static string Text(double? value) =>
        value is { } number ? number.ToString(Math.Abs(number) >= 100 ? "N0" : "G4", CultureInfo.InvariantCulture) : None;
}
