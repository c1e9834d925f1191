using LlamaServe.Bench.Machine;
using LlamaServe.Bench.Models;
using LlamaServe.Kernels;

namespace LlamaServe.Bench.Peers;

/// <summary>Rounds of measurements in which the engines take turns, so that a slow minute of the machine hits both.</summary>
internal sealed class PeerRun(LlamaShape shape, DirectoryInfo folder, int rounds, int threads, TextWriter output)
{
    public async Task CompareAsync(IReadOnlyList<WeightFormat> formats, CancellationToken cancellationToken)
    {
        await LlamaCpp.InstallAsync(cancellationToken);
        MachineLimits limits = MachineLimits.Measure(threads);
        output.WriteLine(MachineDescription.Current);
        List<PeerComparison> comparisons = [];
        foreach (WeightFormat format in formats)
        {
            comparisons.Add(await CompareAsync(format, cancellationToken));
            limits = limits.Best(MachineLimits.Measure(threads));
        }

        output.WriteLine(limits);
        PeerTable.Print(output, shape, limits, comparisons);
        output.WriteLine(ResultFile.Save("peers", limits, comparisons));
    }

    private async Task<PeerComparison> CompareAsync(WeightFormat format, CancellationToken cancellationToken)
    {
        string model = BenchModel.Ensure(folder, shape, format, BenchModel.DefaultSeed);
        Workload workload = Workload.Create(shape);
        await using LlamaCppPeer peer = new(model, workload, threads);
        await using LlamaServePeer ours = await LlamaServePeer.StartAsync(model, workload, threads, cancellationToken);
        List<PeerMeasures> peerRounds = [], ourRounds = [];
        for (int round = 1; round <= rounds; round++)
        {
            peerRounds.Add(await MeasureAsync(peer, format, round, cancellationToken));
            ourRounds.Add(await MeasureAsync(ours, format, round, cancellationToken));
        }

        return new PeerComparison(format, peer.Name, peerRounds, ourRounds);
    }

    private async Task<PeerMeasures> MeasureAsync(IPeer engine, WeightFormat format, int round, CancellationToken cancellationToken)
    {
        PeerMeasures measures = await engine.MeasureAsync(cancellationToken);
        output.WriteLine($"{format} round {round}, {engine.Name}: {measures}");
        return measures;
    }
}
