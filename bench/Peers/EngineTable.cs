using System.Globalization;
using LlamaServe.Bench.Models;

namespace LlamaServe.Bench.Peers;

/// <summary>Prints one column an engine: first what was measured here, then what others publish of themselves.</summary>
internal static class EngineTable
{
    private const string Naive = "naive PyTorch", Ours = "LlamaServe";

    private static readonly string[] Engines = [Naive, "llama.cpp", "TGI", "vLLM", "TensorRT-LLM", Ours];

    public static void Print(TextWriter output, LlamaShape shape, IEnumerable<PeerComparison> comparisons, IEnumerable<PublishedFigure> published)
    {
        output.WriteLine($"| workload | unit | {string.Join(" | ", Engines)} | from |");
        output.WriteLine($"|---|---|{string.Concat(Engines.Select(_ => "--:|"))}---|");
        foreach (IGrouping<string, PeerComparison> format in comparisons.GroupBy(comparison => comparison.Format.ToString()))
        {
            Measured(output, $"random Llama of {Parameters(shape)}, {format.Key}, this CPU, one sequence", format, measures => measures.Decode);
            Measured(output, $"random Llama of {Parameters(shape)}, {format.Key}, this CPU, 8 sequences", format, measures => measures.Together);
        }

        foreach (PublishedFigure figure in published)
        {
            Line(output, figure.Workload, figure.Unit, figure.Figures, $"published: {figure.Source}");
        }

        output.WriteLine("Published figures are of other machines and models: only figures of one line compare.");
    }

    private static void Measured(TextWriter output, string workload, IEnumerable<PeerComparison> comparisons, Func<PeerMeasures, double> measure)
    {
        Dictionary<string, double> figures = comparisons.ToDictionary(
            comparison => Engines.First(engine => comparison.Peer.StartsWith(engine, StringComparison.Ordinal)), comparison => measure(comparison.PeerMedian));
        figures[Ours] = measure(comparisons.First().OurMedian);
        Line(output, workload, "tokens/s", figures, "measured here");
    }

    private static void Line(TextWriter output, string workload, string unit, IReadOnlyDictionary<string, double> figures, string from) =>
        output.WriteLine($"| {workload} | {unit} | {string.Join(" | ", Engines.Select(engine => Text(figures, engine)))} | {from} |");

    private static string Text(IReadOnlyDictionary<string, double> figures, string engine) =>
        figures.TryGetValue(engine, out double figure) ? figure.ToString(figure < 1000 ? "0.#" : "N0", CultureInfo.InvariantCulture) : "";

    private static string Parameters(LlamaShape shape) => string.Create(
        CultureInfo.InvariantCulture, $"{(shape.LayerMultiplyAdds + shape.OutputMultiplyAdds) / 1e9:F2}B parameters");
}
