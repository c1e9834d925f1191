using LlamaServe.Bench.Machine;
using LlamaServe.Bench.Models;
using LlamaServe.Kernels;

namespace LlamaServe.Bench.Peers;

/// <summary>Another engine that can run here.</summary>
internal enum PeerKind
{
    Naive,
    LlamaCpp,
}

/// <summary>Rounds of measurements in which the engines take turns, so that a slow minute of the machine hits all.</summary>
/// <param name="json">File for the result instead of one in <c>bench/results</c>.</param>
internal sealed class PeerRun(LlamaShape shape, DirectoryInfo folder, int rounds, int threads, string? json, TextWriter output)
{
    public async Task CompareAsync(IReadOnlyList<WeightFormat> formats, IReadOnlyList<PeerKind> peers, CancellationToken cancellationToken)
    {
        string path = ResultFile.Reserve(json, "peers");
        IReadOnlyList<PublishedFigure> published = PublishedFigure.Load(PublishedFigure.DefaultPath);
        if (peers.Contains(PeerKind.LlamaCpp))
        {
            await LlamaCpp.InstallAsync(cancellationToken);
        }

        var limits = MachineLimits.Measure(threads);
        output.WriteLine(MachineDescription.Current);
        List<PeerComparison> comparisons = [];
        foreach (WeightFormat format in formats)
        {
            comparisons.AddRange(await CompareAsync(format, peers, cancellationToken));
            limits = limits.Best(MachineLimits.Measure(threads));
        }

        output.WriteLine(limits);
        PeerTable.Print(output, shape, limits, comparisons);
        output.WriteLine();
        EngineTable.Print(output, shape, comparisons, published);
        ResultFile.WriteTo(path, new { Comparisons = comparisons, Published = published }, limits);
        output.WriteLine(path);
    }

    private async Task<IReadOnlyList<PeerComparison>> CompareAsync(WeightFormat format, IReadOnlyList<PeerKind> kinds, CancellationToken cancellationToken)
    {
        string model = BenchModel.Ensure(folder, shape, format, BenchModel.DefaultSeed);
        var workload = Workload.Create(shape);
        List<IPeer> engines = [];
        try
        {
            foreach (PeerKind kind in kinds)
            {
                engines.Add(kind == PeerKind.Naive ? new NaivePeer(model, shape, workload, threads) : new LlamaCppPeer(model, workload, threads));
            }

            engines.Add(await LlamaServePeer.StartAsync(model, workload, threads, cancellationToken));
            List<PeerMeasures>[] measures = [.. engines.Select(_ => new List<PeerMeasures>())];
            for (int round = 1; round <= rounds; round++)
            {
                for (int i = 0; i < engines.Count; i++)
                {
                    measures[i].Add(await MeasureAsync(engines[i], format, round, cancellationToken));
                }
            }

            return [.. engines.SkipLast(1).Select((peer, i) => new PeerComparison(format, peer.Name, measures[i], measures[^1]))];
        }
        finally
        {
            foreach (IPeer engine in engines)
            {
                await engine.DisposeAsync();
            }
        }
    }

    private async Task<PeerMeasures> MeasureAsync(IPeer engine, WeightFormat format, int round, CancellationToken cancellationToken)
    {
        PeerMeasures measures = await engine.MeasureAsync(cancellationToken);
        output.WriteLine($"{format} round {round}, {engine.Name}: {measures}");
        return measures;
    }
}
