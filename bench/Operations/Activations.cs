using LlamaServe.Bench.Models;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cpu;

namespace LlamaServe.Bench.Operations;

/// <summary>Random F32 rows in host memory, N(0, 1), in as many copies as a case takes in turn.</summary>
internal sealed unsafe class Activations : IDisposable
{
    /// <summary>What the inputs of all calls together should exceed: more than any cache that a processor has.</summary>
    private const double ColdBytes = 192 << 20;

    private const int MostVariants = 4096;

    private readonly AlignedBuffer _memory;
    private readonly int _rows;
    private readonly int _columns;

    public Activations(int variants, int rows, int columns)
    {
        (_rows, _columns) = (rows, columns);
        _memory = new AlignedBuffer((long)variants * rows * columns * sizeof(float));
        NormalNoise.Fill(Variant(0), seed: 2, stream: 0, deviation: 1);
        for (int variant = 1; variant < variants; variant++)
        {
            Variant(0).CopyTo(Variant(variant));
        }
    }

    /// <summary>Copies of inputs of such a size that no cache holds together.</summary>
    public static int Variants(double bytes) => (int)Math.Clamp(Math.Ceiling(ColdBytes / bytes), 2, MostVariants);

    public Tensor this[int variant] =>
        new((nint)(_memory.Floats + (long)variant * _rows * _columns), _rows, _columns, _columns, DType.F32);

    public void Dispose() => _memory.Dispose();

    private Span<float> Variant(int variant) => new(_memory.Floats + (long)variant * _rows * _columns, _rows * _columns);
}
