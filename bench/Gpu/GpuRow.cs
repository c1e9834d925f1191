namespace LlamaServe.Bench.Gpu;

/// <summary>A line of the table.</summary>
/// <param name="Kernel">What was run.</param>
/// <param name="Shape">On what.</param>
internal sealed record GpuRow(string Kernel, string Shape)
{
    /// <summary>How a <see cref="Note"/> begins where something went wrong.</summary>
    public const string Failed = "FAILED";

    /// <summary>The <see cref="Note"/> of what was not begun.</summary>
    public const string NoTime = "no time left";

    /// <summary>Tokens a second instead of seconds.</summary>
    public bool IsRate { get; init; }

    /// <summary>The time, or the rate, that bytes and operations allow on this device; docs/gpu.md has the formulas.</summary>
    public double? Floor { get; init; }

    /// <summary>Seconds or tokens a second.</summary>
    public double? Value { get; init; }

    /// <summary>What <see cref="PeerValue"/> is of.</summary>
    public string? Peer { get; init; }

    /// <summary>Cases of the peer whose seconds add up to <see cref="PeerValue"/>; a rate has one.</summary>
    public IReadOnlyList<string> PeerCases { get; init; } = [];

    public double? PeerValue { get; init; }

    public IReadOnlyList<Goal> Goals { get; init; } = [];

    /// <summary>Part of a row below: in the results, but not in the last table.</summary>
    public bool IsDetail { get; init; }

    /// <summary>Why there is no value, or how it came about.</summary>
    public string? Note { get; init; }

    /// <summary>1 where the floor is reached.</summary>
    public double? OfFloor => IsRate ? Value / Floor : Floor / Value;

    /// <summary>Above 1 where ours is faster.</summary>
    public double? OursOverPeer => IsRate ? Value / PeerValue : PeerValue / Value;

    /// <summary>Whether all goals are; null where that was not measured, or there is none.</summary>
    public bool? IsMet
    {
        get
        {
            bool?[] met = [.. Goals.Select(goal => goal.IsMet(this))];
            return met.Contains(false) ? false : met.Length == 0 || met.Contains(null) ? null : true;
        }
    }

    /// <summary>This row beside what the peer took for the same, or why it did not.</summary>
    /// <param name="seconds">By case.</param>
    public GpuRow WithPeer(IReadOnlyDictionary<string, PeerSeconds> seconds)
    {
        if (PeerCases.Count == 0 || !PeerCases.All(seconds.ContainsKey))
        {
            return this;
        }
        if (PeerCases.Select(id => seconds[id].Trouble).FirstOrDefault(trouble => trouble is not null) is { } trouble)
        {
            return this with { Peer = $"{Peer}: {trouble}" };
        }
        double value = PeerCases.Sum(id => seconds[id].Value!.Value);
        return this with { PeerValue = IsRate ? 1 / value : value };
    }
}
