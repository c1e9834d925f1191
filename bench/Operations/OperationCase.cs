using LlamaServe.Bench.Machine;

namespace LlamaServe.Bench.Operations;

/// <summary>An operation of the CPU backend on one shape. Its inputs live until the next case is asked for.</summary>
/// <param name="Operation">What is run.</param>
/// <param name="Shape">On what.</param>
/// <param name="Variants">Copies of the inputs that calls take in turn, so many that no cache holds them all.</param>
/// <param name="Run">One call, with 0 … <paramref name="Variants"/> − 1.</param>
internal sealed record OperationCase(string Operation, string Shape, int Variants, Action<int> Run)
{
    /// <summary>Bytes that a call has to read or write.</summary>
    public required double Bytes { get; init; }

    /// <summary>Multiply-adds of a call; 0 where memory alone counts.</summary>
    public double MultiplyAdds { get; init; }

    /// <summary>What is multiplied.</summary>
    public Arithmetic Arithmetic { get; init; } = Arithmetic.Float32;

    /// <summary>What <see cref="Peer"/> runs; null where there is none.</summary>
    public string? PeerName { get; init; }

    /// <summary>The same by the peer.</summary>
    public Action<int>? Peer { get; init; }
}
