namespace LlamaServe.Bench.Cost;

/// <summary>A counter of energy in this machine.</summary>
internal interface IEnergyCounter
{
    /// <summary>What it counts, for people: "CPU packages (RAPL)".</summary>
    string Name { get; }

    /// <summary>Joules since some moment.</summary>
    double Joules { get; }
}
