using System.Text.RegularExpressions;
using LlamaServe.Bench.Report;

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

    private string _folder = "";

    [SetUp]
    public void MakeFolder() => _folder = Directory.CreateTempSubdirectory().FullName;

    [TearDown]
    public void DeleteFolder() => Directory.Delete(_folder, recursive: true);

    [Test]
    public void All_kinds_of_results_come_into_one_page_that_needs_nothing_else()
    {
        ReportSource[] sources = [Source("serve", Serve), Source("sweep", Sweep), Source("cost", Cost)];
        IReadOnlyList<Chart> charts = Charts.Of(sources);
        string page = HtmlReport.Of(sources, charts);

        Assert.That(charts.Select(chart => chart.Title), Is.EqualTo(new[]
        {
            "Throughput against each reader's speed", "Price against each reader's speed", "Time to first token", "Time between pieces", "Output over time",
        }));
        Assert.That(Regex.Count(page, "<svg"), Is.EqualTo(5));
        Assert.That(page, Does.Contain("<td>321</td>").And.Contain("<td>0.022</td>").And.Contain("color-scheme: light dark"));
        Assert.That(page, Does.Contain("abc&lt;1&gt;"), "what files say is text");
        Assert.That(Outside().Matches(page).Select(match => match.Value), Is.Empty, "nothing is fetched");
    }

    [Test]
    public void Cached_input_that_has_no_price_is_shown_without()
    {
        ReportSource[] sources = [Source("cost", Cost.Replace("\"cached_input\"", "\"other\"", StringComparison.Ordinal))];

        Assert.That(HtmlReport.Of(sources, []), Does.Contain("<td>none</td>"));
    }

    [Test]
    public void Ids_of_different_charts_differ()
    {
        ReportSource[] sources = [Source("serve", Serve), Source("sweep", Sweep)];
        string page = HtmlReport.Of(sources, Charts.Of(sources));
        string[] ids = [.. Id().Matches(page).Select(match => match.Groups[1].Value)];

        Assert.That(ids, Is.Not.Empty.And.Unique);
        Assert.That(Reference().Matches(page).Select(match => match.Groups[1].Value), Is.SubsetOf(ids));
    }

    [Test]
    public void The_first_chart_becomes_an_image()
    {
        string path = Path.Combine(_folder, "chart.png");
        Charts.Of([Source("sweep", Sweep)])[0].SavePng(path);

        Assert.That(File.ReadAllBytes(path)[..8], Is.EqualTo(new byte[] { 0x89, (byte)'P', (byte)'N', (byte)'G', 13, 10, 26, 10 }));
    }

    [TestCase("{}")]
    [TestCase("[]")]
    [TestCase("nothing")]
    public void Other_files_are_refused(string content) =>
        Assert.That(() => Source("other", content), Throws.ArgumentException.With.Message.Contains("other"));

    private ReportSource Source(string name, string content)
    {
        string path = Path.Combine(_folder, name + ".json");
        File.WriteAllText(path, content);
        return ReportSource.Read(path);
    }

    [GeneratedRegex("""(src|href)="[^#"]|url\([^#)]|@import""")]
    private static partial Regex Outside();

    [GeneratedRegex("""\bid="([^"]+)""")]
    private static partial Regex Id();

    [GeneratedRegex("""url\(#([^)]+)\)""")]
    private static partial Regex Reference();
}
