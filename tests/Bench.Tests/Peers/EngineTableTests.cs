using LlamaServe.Bench.Models;
using LlamaServe.Bench.Peers;
using LlamaServe.Kernels;
using LlamaServe.Testing;

namespace LlamaServe.Bench.Tests.Peers;

public sealed class EngineTableTests
{
    private static readonly PeerMeasures Slow = new(Prefill: 1, LongPrefill: 1, Decode: 2, Together: 3), Fast = new(Prefill: 1, LongPrefill: 1, Decode: 20, Together: 70);

    [Test]
    public void Measured_and_published_figures_stand_in_their_engines_columns_and_say_which_they_are()
    {
        PublishedFigure published = new("requests", "tokens/s", new Dictionary<string, double> { ["vLLM"] = 12_345 }, "somebody");
        using StringWriter output = new();
        EngineTable.Print(output, new LlamaShape(), [Comparison("naive PyTorch (BF16)"), Comparison("llama.cpp (1.0)")], [published]);
        string[] lines = output.ToString().Split('\n');
        Assert.That(lines[0], Is.EqualTo("| workload | unit | naive PyTorch | llama.cpp | TGI | vLLM | TensorRT-LLM | LlamaServe | from |"));
        Assert.That(lines[2], Does.EndWith("one sequence | tokens/s | 2 | 2 |  |  |  | 20 | measured here |"));
        Assert.That(lines[3], Does.EndWith("8 sequences | tokens/s | 3 | 3 |  |  |  | 70 | measured here |"));
        Assert.That(lines[4], Is.EqualTo("| requests | tokens/s |  |  |  | 12,345 |  |  | published: somebody |"));
    }

    [Test]
    public void The_table_that_comes_with_the_program_names_known_engines_only()
    {
        IReadOnlyList<PublishedFigure> all = PublishedFigure.Load(PublishedFigure.DefaultPath);
        Assert.That(all.SelectMany(figure => figure.Figures.Keys).Distinct(), Is.EquivalentTo(new[] { "TGI", "vLLM", "TensorRT-LLM" }));
    }

    [TestCase("[{\"workload\": \"a\", \"unit\": \"s\", \"figures\": {\"vLLM\": 1}, \"source\": \"\"}]")]
    [TestCase("[{\"workload\": \"a\", \"unit\": \"s\", \"figures\": {\"vLLM\": 0}, \"source\": \"b\"}]")]
    [TestCase("[{\"workload\": \"a\", \"unit\": \"s\", \"figures\": {\"vLLM\": 1}}]")]
    [TestCase("[")]
    public void A_figure_without_a_source_or_a_value_is_refused(string content)
    {
        using TemporaryFolder folder = new();
        string path = folder.File("published.json");
        File.WriteAllText(path, content);
        Assert.That(() => PublishedFigure.Load(path), Throws.ArgumentException.With.Message.Contains("published.json"));
    }

    private static PeerComparison Comparison(string peer) => new(WeightFormat.Q4_0, peer, [Slow], [Fast]);
}
