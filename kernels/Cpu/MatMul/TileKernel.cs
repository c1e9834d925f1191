using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// The one argument of a tile kernel: some rows of encoded activations (a tile) against consecutive weight panels.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct TileArguments
{
    /// <summary>First panel; the next ones follow without a gap.</summary>
    public byte* Weights;

    /// <summary>The tile's activations, interleaved by <see cref="ActivationEncoder"/>.</summary>
    public byte* Activations;

    /// <summary>First row's result for the first panel.</summary>
    public float* Output;

    /// <summary>Bytes from one row of the output to the next.</summary>
    public long OutputStride;

    /// <summary>Bias for the first panel; may be null.</summary>
    public float* Bias;

    /// <summary>First row's residual for the first panel; may be null, and may be the output.</summary>
    public float* Residual;

    /// <summary>Bytes from one row of the residual to the next.</summary>
    public long ResidualStride;

    /// <summary>Steps of a panel; at least 1.</summary>
    public long Steps;

    /// <summary>Panels to multiply with; at least 1.</summary>
    public long Panels;

    /// <summary>Bit i: row i of the last of these panels exists.</summary>
    public long LastPanelMask;

    /// <summary>Rows of the tile, at most <see cref="TileKernel.MaxRows"/>. An assembled kernel is made for one count.</summary>
    public long Rows;
}

/// <summary>
/// The tile kernels of one weight format: output = activations · panelᵀ, then + bias, then + residual. Whatever the number of
/// rows, an output element goes through the same operations in the same order.
/// </summary>
internal sealed unsafe class TileKernel
{
    /// <summary>Most rows of a tile.</summary>
    public const int MaxRows = 8;

    private static readonly ConcurrentDictionary<(WeightFormat Format, CpuFeatures Features), TileKernel> Kernels = new();

    private readonly WeightFormat _format;
    private readonly ExecutableMemory? _code;
    private readonly int[] _offsets = new int[MaxRows];

    private TileKernel(WeightFormat format, CpuFeatures features)
    {
        _format = format;
        _code = CanAssemble(format, features) ? Assemble() : null;
    }

    /// <summary>The kernels for <paramref name="format"/>, assembled on first use and kept for the life of the process.</summary>
    public static TileKernel For(WeightFormat format, CpuFeatures features) =>
        Kernels.GetOrAdd((format, features), static key => new TileKernel(key.Format, key.Features));

    public void Run(TileArguments* call)
    {
        if (_code is null)
        {
            PortableTileKernel.Run(call, _format);
        }
        else
        {
            ((delegate* unmanaged<TileArguments*, void>)(_code.Address + _offsets[call->Rows - 1]))(call);
        }
    }

    private static bool CanAssemble(WeightFormat format, CpuFeatures features) => format switch
    {
        WeightFormat.F32 or WeightFormat.F16 => features.Avx512,
        WeightFormat.BF16 => features.Bf16,
        _ => features.Vnni,
    };

    private ExecutableMemory Assemble()
    {
        var code = new List<byte>();
        for (int rows = 1; rows <= MaxRows; rows++)
        {
            _offsets[rows - 1] = code.Count;
            code.AddRange(AssemblerFor(_format, rows).Assemble(OperatingSystem.IsWindows()));
            code.AddRange(new byte[-code.Count & 63]);
        }

        return ExecutableMemory.Load(CollectionsMarshal.AsSpan(code));
    }

    private static TileAssembler AssemblerFor(WeightFormat format, int rows) => format switch
    {
        WeightFormat.F32 or WeightFormat.F16 or WeightFormat.BF16 => new FloatTileAssembler(format, rows),
        _ => new Int8TileAssembler(format, rows),
    };
}
