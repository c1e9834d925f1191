using LlamaServe.Bench.Report;
using LlamaServe.Testing;

namespace LlamaServe.Bench.Tests.Report;

internal sealed class ReportTableTests
{
    private const string Peers = """
        {"command": "bench peers", "limits": {"read": 1}, "measurements": {"comparisons": [{"format": "Q4_0", "peer": "llama.cpp",
          "peer_rounds": [{"decode_tokens_per_second": 1}], "peer_median": {"decode_tokens_per_second": 20}, "our_median": {"decode_tokens_per_second": 50}}]}}
        """;

    [Test]
    public void What_a_file_does_not_have_is_a_dash_and_nothing_is_a_zero()
    {
        ReportTable table = Tables(("a", """{"output_throughput": 10, "failed": 0}"""))[0];

        Assert.That(table.Rows[0], Is.EqualTo(new[] { "a", "–", "10", "–", "–", "–", "–", "–", "–", "0" }));
    }

    [Test]
    public void Several_files_are_compared_with_the_first()
    {
        ReportTable load = Tables(("a", """{"output_throughput": 10, "median_ttft_ms": 4}"""), ("b", """{"output_throughput": 25, "median_tpot_ms": 1}"""))[0];
        ReportTable sweep = Tables(("a", Sweep(8, 100)), ("b", Sweep(8, 150, 16, 200)))[0];

        Assert.That(load.Columns.TakeLast(3), Is.EqualTo(new[] { "output tokens/s ÷ first", "TTFT p50 ÷ first", "TPOT p50 ÷ first" }));
        Assert.That(load.Rows[1].TakeLast(3), Is.EqualTo(new[] { "2.5", "–", "–" }));
        Assert.That(sweep.Rows.Select(row => row[^1]), Is.EqualTo(new[] { "1", "1.5", "–" }), "of the same concurrency");

        static string Sweep(params int[] values)
        {
            IEnumerable<string> points = values.Chunk(2).Select(pair => $"{{\"concurrency\": {pair[0]}, \"tokens_per_second_per_device\": {pair[1]}}}");
            return $"{{\"measurements\": {{\"points\": [{string.Join(",", points)}] }} }}";
        }
    }

    [Test]
    public void Peers_have_their_ratio_and_no_single_rounds()
    {
        ReportTable table = Tables(("p", Peers))[0];

        Assert.That(table.Title, Is.EqualTo("peers"));
        Assert.That(table.Rows, Is.EqualTo(new[]
        {
            new[] { "Q4_0, llama.cpp", "peer median decode tokens per second", "20" },
            ["Q4_0, llama.cpp", "our median decode tokens per second", "50"],
            ["Q4_0, llama.cpp", "ours / peer, decode tokens per second", "2.5"],
        }));
    }

    [Test]
    public void Other_kinds_have_a_row_for_each_number_by_name()
    {
        const string Kernels = """{"command": "bench kernels --quick", "measurements": {"suite": "kernels", "rows": [{"name": "linear 8", "seconds": 0.5, "turns": [1, 2], "peer": null}]}}""";
        const string Latency = """{"command": "bench latency", "avg_latency": 0.25, "latencies": [0.2, 0.3], "percentiles": {"50": 0.24}, "date": "d"}""";
        const string Start = """{"command": "bench start", "measurements": [{"ready": 1}, {"ready": 5}, {"ready": 3}]}""";
        IReadOnlyList<ReportTable> tables = Tables(("k", Kernels), ("l", Latency), ("s", Start), ("faster", Kernels.Replace("0.5", "0.25")));

        Assert.That(tables.Select(table => table.Title), Is.EqualTo(new[] { "kernels", "latency", "start" }));
        Assert.That(tables[0].Columns, Is.EqualTo(new[] { "", "", "k", "faster", "faster ÷ first" }));
        Assert.That(tables[0].Rows, Is.EqualTo(new[] { new[] { "linear 8", "seconds", "0.5", "0.25", "0.5" } }));
        Assert.That(tables[1].Rows, Is.EqualTo(new[] { new[] { "", "avg latency", "0.25" }, ["", "percentiles 50", "0.24"] }));
        Assert.That(tables[2].Rows, Is.EqualTo(new[] { new[] { "", "ready", "3" } }), "the median of measurements of the same");
    }

    [Test]
    public void One_file_alone_has_its_measures_as_columns()
    {
        ReportTable table = Tables(("k", """{"command": "bench kernels", "measurements": {"rows": [{"name": "a", "seconds": 1, "ratio": 2}, {"name": "b", "seconds": 3}]}}"""))[0];

        Assert.That(table.Columns, Is.EqualTo(new[] { "", "seconds", "ratio" }));
        Assert.That(table.Rows, Is.EqualTo(new[] { new[] { "a", "1", "2" }, ["b", "3", "–"] }));
    }

    [Test]
    public void A_check_of_the_simulator_is_no_price() => Assert.That(
        Tables(("s", """{"command": "bench simulate check", "measurements": {"checks": [{"load": "all at once", "ratio": {"x": 1}}], "cost": {"model": "m", "kv_tokens": 5}}}"""))[0].Title,
        Is.EqualTo("simulate"));

    [Test]
    public void Files_of_one_name_are_told_apart_by_folder_and_the_same_file_is_refused()
    {
        using TemporaryFolder folder = new();
        string[] paths = [.. new[] { "a/x/run.json", "b/x/run.json", "b/other.json", "b/other.txt" }.Select(path => Path.Combine(folder.Path, path))];
        foreach (string path in paths)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, """{"output_throughput": 10}""");
        }

        Assert.That(ReportSource.Read(paths).Select(source => source.Name), Is.EqualTo(new[] { "a/x/run.json", "b/x/run.json", "other.json", "other.txt" }));
        Assert.That(() => ReportSource.Read([paths[0], paths[0]]), Throws.ArgumentException.With.Message.Contains("twice"));
    }

    private static IReadOnlyList<ReportTable> Tables(params (string Name, string Content)[] files)
    {
        using TemporaryFolder folder = new();
        string[] paths = [.. files.Select(file => Path.Combine(folder.Path, file.Name + ".json"))];
        for (int i = 0; i < paths.Length; i++)
        {
            File.WriteAllText(paths[i], files[i].Content);
        }

        return ReportTable.Of(ReportSource.Read(paths));
    }
}
