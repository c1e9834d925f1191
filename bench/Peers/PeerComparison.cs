using LlamaServe.Kernels;

namespace LlamaServe.Bench.Peers;

/// <summary>Both engines on one model file: each round's numbers, taken by turns, and their medians.</summary>
/// <param name="Format">Storage format of the matrices.</param>
/// <param name="Peer">The other engine's name.</param>
internal sealed record PeerComparison(
    WeightFormat Format, string Peer, IReadOnlyList<PeerMeasures> PeerRounds, IReadOnlyList<PeerMeasures> OurRounds)
{
    public PeerMeasures PeerMedian { get; } = PeerMeasures.Median(PeerRounds);

    public PeerMeasures OurMedian { get; } = PeerMeasures.Median(OurRounds);
}
