using System.CommandLine;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using LlamaServe.Bench.Report;
using LlamaServe.Bench.Simulation;
using LlamaServe.Testing;

namespace LlamaServe.Bench.Tests.Report;

internal sealed partial class ReportTests
{
    private const string Serve = """
        {"date": "d", "commit": "abc<1>", "command": "bench serve", "request_throughput": 2.5, "output_throughput": 321, "median_ttft_ms": 12.25, "failed": 1,
         "start_times": [0, 0.5, 1], "ttfts": [0.1, 0.2, 0], "itls": [[0.05, 0.05], [0.9], []], "output_lens": [3, 4, 0], "errors": ["", "", "gone"]}
        """;

    private const string Sweep = """
        {"measurements": {"points": [
          {"concurrency": 1, "tokens_per_second_per_user": 50, "tokens_per_second_per_device": 50, "dollars_per_million": 3.5},
          {"concurrency": 8, "tokens_per_second_per_user": 30, "tokens_per_second_per_device": 240, "dollars_per_million": 0.7}]}}
        """;

    private const string Cost = """
        {"measurements": {"cost": {"input": {"dollars_per_million": 0.11}, "cached_input": {"dollars_per_million": 0.022},
          "output": {"dollars_per_million": 0.33}, "interactivity": 41}}}
        """;

    [Test]
    public void All_kinds_of_results_come_into_one_page_that_needs_nothing_else()
    {
        IReadOnlyList<ReportSource> sources = Sources(("serve", Serve), ("sweep", Sweep), ("cost", Cost));
        IReadOnlyList<Chart> charts = Charts.Of(sources);
        string page = HtmlReport.Of(sources, charts);

        Assert.That(charts.Select(chart => chart.Title), Is.EqualTo(new[]
        {
            "Throughput against each reader's speed", "Price against each reader's speed", "Time to first token", "Time between pieces", "Whole answer",
            "Output over time",
        }));
        Assert.That(Regex.Count(page, "<svg"), Is.EqualTo(6));
        Assert.That(page, Does.Contain("<td>321</td>").And.Contain("<td>0.022</td>").And.Contain("color-scheme: light dark"));
        Assert.That(page, Does.Contain("abc&lt;1&gt;"), "what files say is text");
        Assert.That(Outside().Matches(page).Select(match => match.Value), Is.Empty, "nothing is fetched");
    }

    [Test]
    public void Cached_input_that_has_no_price_is_shown_without()
    {
        ReportSource[] sources = [Source("cost", Cost.Replace("\"cached_input\"", "\"other\"", StringComparison.Ordinal))];

        Assert.That(HtmlReport.Of(sources, []), Does.Contain("<td>0.11</td><td>–</td><td>0.33</td>"));
    }

    [Test]
    public void Ids_of_different_charts_differ()
    {
        IReadOnlyList<ReportSource> sources = Sources(("serve", Serve), ("sweep", Sweep));
        string page = HtmlReport.Of(sources, Charts.Of(sources));
        string[] ids = [.. Id().Matches(page).Select(match => match.Groups[1].Value)];

        Assert.That(ids, Is.Not.Empty.And.Unique);
        Assert.That(Reference().Matches(page).Select(match => match.Groups[1].Value), Is.SubsetOf(ids));
    }

    [TestCase(null)]
    [TestCase("price")]
    [TestCase("e2el")]
    public void A_chart_becomes_an_image(string? key)
    {
        IReadOnlyList<Chart> charts = Charts.Of(Sources(("serve", Serve), ("sweep", Sweep)));
        using TemporaryFolder folder = new();
        string path = Path.Combine(folder.Path, "chart.png");
        ReportCommand.Choose(charts, key).SavePng(path);

        Assert.That(File.ReadAllBytes(path)[..8], Is.EqualTo(new byte[] { 0x89, (byte)'P', (byte)'N', (byte)'G', 13, 10, 26, 10 }));
    }

    [Test]
    public void A_chart_that_is_not_there_is_refused_with_those_that_are()
    {
        IReadOnlyList<Chart> charts = Charts.Of(Sources(("sweep", Sweep)));

        Assert.That(ReportCommand.Choose(charts, null).Key, Is.EqualTo("pareto"));
        Assert.That(() => ReportCommand.Choose(charts, "ttft"), Throws.ArgumentException.With.Message.Contains("pareto, price"));
        Assert.That(() => ReportCommand.Choose([], null), Throws.ArgumentException.With.Message.Contains("no chart"));
    }

    [Test]
    public void Predictions_are_marked_and_dashed()
    {
        string measured = Page(("run", Serve)), predicted = Page(("run", Serve.Insert(1, "\"backend\": \"simulation\", ")));

        // A dashed curve is an area for each dash, a solid one a stroke.
        string stroke = $"stroke=\"{Chart.Palette[0]}\"";
        Assert.That(measured, Does.Not.Contain("predicted").And.Contain(stroke));
        Assert.That(predicted, Does.Contain("<td>run (predicted)</td>").And.Contain("nobody measured it").And.Not.Contain(stroke));
    }

    [Test]
    public void What_simulate_writes_is_a_prediction_beside_which_nothing_of_the_table_is_missing()
    {
        Command command = SimulateCommand.Create();
        JsonObject json = SimulateArguments.Read(command.Parse("--model llama-3-8b --tensor-parallel 1 --replicas 1 --count 4 --input 64 --output 8")).Run().ToJson();
        ReportSource source = Source("s", json.ToJsonString());

        Assert.That((source.Name, source.IsPrediction), Is.EqualTo(("s (predicted)", true)));
        foreach (string field in (string[])["request_throughput", "output_throughput", "median_ttft_ms", "p99_ttft_ms", "median_tpot_ms", "p99_tpot_ms", "median_e2el_ms"])
        {
            Assert.That(source.Number(field), Is.Positive, field);
        }
    }

    [Test]
    public void Text_in_charts_has_the_colour_of_the_page_and_curves_are_seen_on_white_and_on_black()
    {
        string page = Page(("sweep", Sweep));

        Assert.That(page, Does.Contain("fill=\"currentColor\"").And.Not.Contain("fill=\"#888\"").And.Not.Contain("#010203"));
        Assert.That(Chart.Palette, Is.Unique);
        Assert.That(Chart.Palette.Where(color => Contrast(color, "#FFFFFF") < 3 || Contrast(color, "#121212") < 3), Is.Empty);
    }

    [Test]
    public void Many_values_become_five_hundred_quantiles_and_few_stay()
    {
        double[] many = [.. Enumerable.Range(1, 100_000).Select(i => (double)i)];
        new Random(1).Shuffle(many);
        (double[] values, double[] shares) = Charts.Cumulative(many);

        Assert.That((values.Length, values[0], values[^1], shares[^1]), Is.EqualTo((500, 1.0, 100_000.0, 1.0)));
        Assert.That(values.Zip(shares, (value, share) => value / 100_000 - share), Is.All.EqualTo(0).Within(1e-9));
        Assert.That(Charts.Cumulative([3, 1]), Is.EqualTo((new double[] { 1, 3 }, new[] { 0.5, 1 })));
        Assert.That(Charts.Cumulative([7]).Shares, Is.EqualTo(new double[] { 1 }));
        Assert.That(Charts.Cumulative([]).Values, Is.Empty);
    }

    [TestCase("{}")]
    [TestCase("[]")]
    [TestCase("nothing")]
    public void Other_files_are_refused(string content) =>
        Assert.That(() => Source("other", content), Throws.ArgumentException.With.Message.Contains("other"));

    private static ReportSource Source(string name, string content) => Sources((name, content))[0];

    private static IReadOnlyList<ReportSource> Sources(params (string Name, string Content)[] files)
    {
        using TemporaryFolder folder = new();
        string[] paths = [.. files.Select(file => Path.Combine(folder.Path, file.Name + ".json"))];
        for (int i = 0; i < paths.Length; i++)
        {
            File.WriteAllText(paths[i], files[i].Content);
        }

        return ReportSource.Read(paths);
    }

    private static string Page(params (string Name, string Content)[] files)
    {
        IReadOnlyList<ReportSource> sources = Sources(files);
        return HtmlReport.Of(sources, Charts.Of(sources));
    }

    // WCAG 2.2's contrast ratio.
    private static double Contrast(string a, string b)
    {
        double first = Luminance(a), second = Luminance(b);
        return (Math.Max(first, second) + 0.05) / (Math.Min(first, second) + 0.05);

        static double Luminance(string color) => 0.2126 * Part(color[1..3]) + 0.7152 * Part(color[3..5]) + 0.0722 * Part(color[5..7]);

        static double Part(string hex)
        {
            double value = Convert.ToInt32(hex, 16) / 255.0;
            return value <= 0.04045 ? value / 12.92 : Math.Pow((value + 0.055) / 1.055, 2.4);
        }
    }

    [GeneratedRegex("""(src|href)="[^#"]|url\([^#)]|@import""")]
    private static partial Regex Outside();

    [GeneratedRegex("""\bid="([^"]+)""")]
    private static partial Regex Id();

    [GeneratedRegex("""url\(#([^)]+)\)""")]
    private static partial Regex Reference();
}
