using LlamaServe.Bench.Gate;
using LlamaServe.Testing;

namespace LlamaServe.Bench.Tests.Gate;

public sealed class GateTests
{
    private const double Tolerance = 0.2;

    [TestCase(0.79, 0, nameof(GateVerdict.Slower))]
    [TestCase(0.81, 0, nameof(GateVerdict.Kept))]
    [TestCase(5, 0, nameof(GateVerdict.Kept))]
    [TestCase(double.NaN, 0, nameof(GateVerdict.Slower))]
    [TestCase(1, 100, nameof(GateVerdict.AllocatesMore))]
    public void A_planted_regression_is_found(double ratio, long allocated, string verdict)
    {
        GateRow row = GateRow.Compare(Of(Result("micro", ("a", 1, 0))), [Result("micro", ("a", ratio, allocated))], Tolerance).Single();
        Assert.That(row.Verdict.ToString(), Is.EqualTo(verdict));
        Assert.That(row.Fails, Is.EqualTo(row.Verdict != GateVerdict.Kept));
    }

    [Test]
    public void A_row_that_disappeared_fails_and_a_new_one_does_not()
    {
        Baseline baseline = Of(Result("micro", ("gone", 1, 0), ("kept", 1, 0)));
        GateRow[] rows = [.. GateRow.Compare(baseline, [Result("micro", ("kept", 1, 0), ("new", 1, 0))], Tolerance)];
        Assert.That(
            rows.ToDictionary(row => row.Name, row => (row.Verdict, row.Fails)),
            Is.EquivalentTo(new Dictionary<string, (GateVerdict, bool)>
            {
                ["gone"] = (GateVerdict.Missing, true),
                ["kept"] = (GateVerdict.Kept, false),
                ["new"] = (GateVerdict.New, false),
            }));
    }

    [Test]
    public void Only_suites_that_were_run_are_compared()
    {
        Baseline baseline = Of(Result("micro", ("a", 1, 0)), Result("kernels", ("b", 1, 0)));
        Assert.That(GateRow.Compare(baseline, [Result("micro", ("a", 1, 0))], Tolerance).Select(row => row.Name), Is.EqualTo(new[] { "a" }));
    }

    [Test]
    public void Of_several_runs_the_median_counts()
    {
        SuiteResult median = SuiteResult.Median([Result("micro", ("a", 1, 0)), Result("micro", ("a", 0.1, 0)), Result("micro", ("a", 1.2, 64))]);
        Assert.That(median.Rows["a"], Is.EqualTo(new GatedValue(1, 64)));
    }

    [Test]
    public void The_verdict_is_the_exit_code_and_the_table_names_the_row()
    {
        Baseline baseline = Of(Result("micro", ("fast", 1, 0), ("slow", 1, 0)));
        using StringWriter output = new();
        Assert.That(GateCommand.Check(baseline, [Result("micro", ("fast", 1, 0), ("slow", 0.5, 0))], Tolerance, output), Is.EqualTo(1));
        Assert.That(output.ToString(), Does.Contain("| micro | slow | 1, 0 B | 0.5, 0 B | -50.0 % | **Slower** |").And.Contain("1 of 2 rows failed"));
        Assert.That(GateCommand.Check(baseline, [Result("micro", ("fast", 1, 0), ("slow", 0.9, 0))], Tolerance, TextWriter.Null), Is.Zero);
    }

    [Test]
    public void Another_processor_is_named()
    {
        using StringWriter output = new();
        SuiteResult result = Result("micro", ("a", 1, 0));
        GateCommand.Check(Of(result), [result with { Processor = "another" }], Tolerance, output);
        Assert.That(output.ToString(), Does.Contain("measured on another"));
    }

    [Test]
    public void A_result_file_is_read_and_kept_as_a_baseline()
    {
        using TemporaryFolder folder = new();
        string result = folder.File("micro.json"), stored = folder.File("baseline.json");
        ResultFile.WriteTo(result, new { Suite = "micro", Rows = new object[] { new { Name = "a", Ratio = 0.5, AllocatedBytes = 24L }, new { Name = "no peer" } } });
        SuiteResult read = SuiteResult.Read(result);
        Assert.That(read.Rows, Is.EquivalentTo(new Dictionary<string, GatedValue> { ["a"] = new(0.5, 24) }));
        Of(read).Save(stored);
        SuiteResult again = Baseline.Read(stored).Suites["micro"];
        Assert.That(again.Rows, Is.EquivalentTo(read.Rows));
        Assert.That(again.Processor, Is.EqualTo(read.Processor));
    }

    [TestCase("{}")]
    [TestCase("not JSON")]
    [TestCase("{\"measurements\": {\"suite\": 3}}")]
    public void Other_files_are_refused_by_name(string content)
    {
        using TemporaryFolder folder = new();
        string path = folder.File("other.json");
        File.WriteAllText(path, content);
        Assert.That(() => SuiteResult.Read(path), Throws.ArgumentException.With.Message.Contains("other.json"));
        Assert.That(() => Baseline.Read(path), Throws.ArgumentException.With.Message.Contains("other.json"));
    }

    private static Baseline Of(params SuiteResult[] results) => Baseline.Empty.With(results);

    private static SuiteResult Result(string suite, params (string Name, double Ratio, long Bytes)[] rows) =>
        new(suite, "processor", rows.ToDictionary(row => row.Name, row => new GatedValue(row.Ratio, row.Bytes)));
}
