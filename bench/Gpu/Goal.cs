using System.Globalization;

namespace LlamaServe.Bench.Gpu;

/// <summary>What a goal is about.</summary>
internal enum GoalOf
{
    /// <summary>Part of the floor that is reached.</summary>
    Floor,

    /// <summary>Speed as a multiple of the peer's.</summary>
    Peer,

    /// <summary>The measured value itself: a time to stay below, or a rate to reach.</summary>
    Value,
}

/// <summary>What a row must reach.</summary>
internal sealed record Goal(GoalOf Of, double Bound)
{
    /// <summary>null while what it is about has not been measured.</summary>
    public bool? IsMet(GpuRow row) => Of switch
    {
        GoalOf.Floor => row.OfFloor >= Bound is var met && row.OfFloor is not null ? met : null,
        GoalOf.Peer => row.OursOverPeer >= Bound is var met && row.OursOverPeer is not null ? met : null,
        _ when row.Value is null => null,
        _ => row.IsRate ? row.Value >= Bound : row.Value <= Bound,
    };

    public string Text(GpuRow row) => Of switch
    {
        GoalOf.Floor => string.Create(CultureInfo.InvariantCulture, $"≥ {Bound:P0} of floor"),
        GoalOf.Peer => string.Create(CultureInfo.InvariantCulture, $"≥ {Bound:0.##} × peer"),
        _ => $"{(row.IsRate ? "≥" : "≤")} {GpuTable.Quantity(Bound, row.IsRate)}",
    };
}
