namespace LlamaServe.Kernels;

/// <summary>A weight that a backend has loaded into its own layout. Only the backend that made it can use it.</summary>
/// <param name="rows">Output features N (1 for a vector).</param>
/// <param name="columns">Input features K.</param>
public abstract class Weight(int rows, int columns) : IDisposable
{
    /// <summary>Output features N; 1 for a vector; the vocabulary for an embedding table.</summary>
    public int Rows { get; } = rows;

    /// <summary>Input features K.</summary>
    public int Columns { get; } = columns;

    /// <summary>Bytes that the backend holds for it.</summary>
    public abstract long ByteLength { get; }

    public abstract void Dispose();
}
