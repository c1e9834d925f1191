using LlamaServe.Bench.Cost;

namespace LlamaServe.Bench.Simulation;

/// <summary>A cluster and its load, ready to run once.</summary>
/// <param name="Devices">Of all replicas together.</param>
/// <param name="KvTokens">Tokens that a replica's KV cache holds.</param>
/// <param name="Price">Of one device; null where it is unknown.</param>
internal sealed record SimulatedRun(Cluster Cluster, Trace Load, int Devices, int KvTokens, HardwarePrice? Price)
{
    public SimulationReport Run() => new(Cluster.Run(Load.Conversations, Load.Arrivals), Devices, KvTokens, Price);
}
