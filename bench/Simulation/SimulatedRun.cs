using LlamaServe.Bench.Cost;
using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Simulation;

/// <summary>A cluster and its load, ready to run once.</summary>
/// <param name="Load">Makes conversations: how many, of which ids, by which random numbers.</param>
/// <param name="Rate">Conversations a second; infinity: all at once.</param>
/// <param name="Devices">Of all replicas together.</param>
/// <param name="KvTokens">Tokens that a replica's KV cache holds.</param>
/// <param name="Price">Of one device; null where it is unknown.</param>
internal sealed record SimulatedRun(
    Cluster Cluster, Func<int, TokenSource, Random, IEnumerable<Conversation>> Load, int Conversations, double Rate, int Seed,
    int Devices, int KvTokens, HardwarePrice? Price)
{
    private const int Ids = 32000;

    public SimulationReport Run()
    {
        Random random = new(Seed);
        double[] arrivals = ArrivalTimes.Draw(Conversations, Rate, 1, random);
        return new SimulationReport(Cluster.Run(Load(Conversations, new TokenSource(0, Ids, Seed), random), arrivals), Devices, KvTokens, Price);
    }
}
