using LlamaServe.Bench.Machine;

namespace LlamaServe.Bench.Operations;

/// <summary>A case and what it took.</summary>
/// <param name="Operation">What was run.</param>
/// <param name="Shape">On what.</param>
/// <param name="Seconds">Median of the turns.</param>
/// <param name="Bytes">Bytes that it had to move.</param>
/// <param name="MultiplyAdds">Multiply-adds that it had to do.</param>
/// <param name="Arithmetic">What was multiplied, where anything was.</param>
internal sealed record OperationRow(string Operation, string Shape, double Seconds, double Bytes, double MultiplyAdds, Arithmetic? Arithmetic)
{
    public string Name => $"{Operation} {Shape}";

    /// <summary>What memory and arithmetic allow, each measured alone in the same run; set once both are known.</summary>
    public double FloorSeconds { get; private init; }

    /// <summary>1 where the floor is reached.</summary>
    public double OfFloor => FloorSeconds / Seconds;

    public double BytesPerSecond => Bytes / Seconds;

    public double MultiplyAddsPerSecond => MultiplyAdds / Seconds;

    public string? Peer { get; init; }

    /// <summary>Median of its turns.</summary>
    public double? PeerSeconds { get; init; }

    /// <summary>Above 1 where ours is faster.</summary>
    public double? Ratio => PeerSeconds / Seconds;

    /// <summary>Each of our turns.</summary>
    public required double[] Turns { get; init; }

    /// <summary>Each of the peer's.</summary>
    public required double[] PeerTurns { get; init; }

    public static OperationRow Measure(OperationCase operation, TurnClock clock)
    {
        (double[] ours, double[] peers) = clock.Measure(operation.Variants, operation.Run, operation.Peer);
        return new OperationRow(
            operation.Operation,
            operation.Shape,
            TurnClock.Median(ours),
            operation.Bytes,
            operation.MultiplyAdds,
            operation.MultiplyAdds > 0 ? operation.Arithmetic : null)
        {
            Peer = operation.PeerName,
            PeerSeconds = peers.Length > 0 ? TurnClock.Median(peers) : null,
            Turns = ours,
            PeerTurns = peers,
        };
    }

    /// <summary>Where a type's peak is unknown, memory alone counts.</summary>
    public OperationRow WithFloor(MachineLimits limits) => this with
    {
        FloorSeconds = Math.Max(
            Bytes / limits.ReadBytesPerSecond,
            Arithmetic is { } arithmetic && limits.Peak(arithmetic) is { } peak ? MultiplyAdds / peak : 0),
    };
}
