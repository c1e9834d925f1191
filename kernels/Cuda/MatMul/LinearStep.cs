using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Matrices of every format: loads them, brings activations into the type that each takes, and multiplies.</summary>
internal sealed class LinearStep : IDisposable
{
    private readonly CudaRuntime _runtime;
    private readonly RowOps _rows;
    private readonly StepArena _arena;
    private readonly LinearLoader _loader;
    private readonly TiledLoader _tiledLoader;
    private readonly CudaMatMul _matMul;
    private readonly TiledMatMul _tiledMatMul;
    private readonly ExpertMatMul _expertMatMul;

    public LinearStep(CudaRuntime runtime, RowOps rows, StepArena arena)
    {
        _runtime = runtime;
        _rows = rows;
        _arena = arena;
        GpuArchitecture architecture = GpuArchitectures.Of(runtime.Device);
        _loader = new LinearLoader(runtime.Memory, runtime.Uploads, runtime.Stream);
        _tiledLoader = new TiledLoader(runtime.Memory, runtime.Uploads, runtime.Stream, architecture);
        _matMul = new CudaMatMul(runtime.Module);
        _tiledMatMul = new TiledMatMul(runtime.Module, architecture, runtime.Device.MultiprocessorCount);
        _expertMatMul = new ExpertMatMul(runtime);
        Quantizer = new ActivationQuantizer(arena, runtime.Stream, runtime.Kernel);
    }

    /// <summary>Also for operations that quantize what they make.</summary>
    public ActivationQuantizer Quantizer { get; }

    /// <param name="parts">At least one; equal column counts. Their memory is free again on return.</param>
    /// <exception cref="ArgumentException">The device lacks what a part's format needs.</exception>
    /// <exception cref="CudaUnavailableException">The device has too little memory.</exception>
    public StackedLinear Load(ReadOnlySpan<WeightData> parts)
    {
        List<StackedRows> stack = [];
        int row = 0;
        for (int begin = 0, end; begin < parts.Length; begin = end)
        {
            TiledFormat? format = _tiledLoader.FormatOf(parts[begin]);
            end = begin + 1;
            while (end < parts.Length && _tiledLoader.FormatOf(parts[end]) == format)
            {
                end++;
            }
            ReadOnlySpan<WeightData> run = parts[begin..end];
            stack.Add(format is null ? new StackedRows(row, LoadLinear(run), null) : new StackedRows(row, null, LoadTiled(new PackedRows(run))));
            row += stack[^1].Count;
        }
        return new StackedLinear([.. stack], parts[0].Columns);
    }

    /// <summary>Gates and ups in turns, whose product is silu(gate) · up.</summary>
    /// <returns>Null where no kernel applies the activation: formats that differ.</returns>
    /// <exception cref="ArgumentException">The device lacks what a part's format needs.</exception>
    /// <exception cref="CudaUnavailableException">The device has too little memory.</exception>
    public StackedLinear? LoadGated(ReadOnlySpan<WeightData> gateParts, ReadOnlySpan<WeightData> upParts)
    {
        TiledFormat? format = _tiledLoader.FormatOf(gateParts[0]);
        foreach (WeightData part in (ReadOnlySpan<WeightData>)[.. gateParts, .. upParts])
        {
            if (_tiledLoader.FormatOf(part) != format)
            {
                return null;
            }
        }
        if (format is not null)
        {
            return new StackedLinear([new StackedRows(0, null, LoadTiled(new PackedRows(gateParts, upParts)))], gateParts[0].Columns);
        }
        if (_loader.LoadGated(gateParts, upParts) is not { } interleaved)
        {
            return null;
        }
        _matMul.Prepare(interleaved);
        return new StackedLinear([new StackedRows(0, interleaved, null)], gateParts[0].Columns);
    }

    /// <param name="parts">As many for each expert, expert by expert, of equal shapes and formats.</param>
    /// <exception cref="ArgumentException">There are no kernels for experts of a part's format.</exception>
    /// <exception cref="CudaUnavailableException">The device has too little memory.</exception>
    public CudaExperts LoadExperts(ReadOnlySpan<WeightData> parts, int experts)
    {
        CudaExperts weight = _loader.LoadExperts(parts, experts);
        _expertMatMul.Prepare(weight);
        return weight;
    }

    /// <summary>Takes the memory for products of up to <paramref name="maxTokens"/> tokens with all loaded weights.</summary>
    public void Reserve(int maxTokens)
    {
        _matMul.Reserve(maxTokens, _runtime.Memory, _runtime.Stream);
        _tiledMatMul.Reserve(maxTokens, _runtime.Memory, _runtime.Stream);
    }

    /// <summary>y = x · Wᵀ (+ bias) (+ residual), or silu(gate) · up of gates and ups in turns, for at least one row.</summary>
    /// <param name="bias">F32 [weight.Rows], or 0.</param>
    public void Run(Tensor x, StackedLinear weight, DevicePtr bias, Tensor? residual, Tensor y)
    {
        Reserve(x.Rows);
        Tensor rounded = Rounded(x);
        foreach (StackedRows part in weight.Parts)
        {
            DevicePtr ownBias = bias.Address == 0 ? bias : bias + (long)part.FirstRow * sizeof(float);
            Tensor? ownResidual = residual?.Slice(part.FirstRow, part.Count);
            Tensor own = y.Slice(part.FirstRow, part.Count);
            if (part.Linear is { } linear)
            {
                _matMul.Run(_runtime.Stream, rounded, linear, ownBias, ownResidual, own);
            }
            else
            {
                TiledMatrix tiled = part.Tiled!;
                TiledActivation rows = tiled.Format.IsQuantized ? Quantizer.Of(rounded, tiled.Format) : TiledActivation.OfRows(rounded);
                _tiledMatMul.Run(_runtime.Stream, rows, tiled, ownBias, ownResidual, own);
            }
        }
    }

    /// <summary>The products of assignments with the matrices of their experts, for at least one token.</summary>
    /// <param name="x">[Tokens, columns] where <paramref name="gather"/>, [Assignments, columns] else.</param>
    public void RunExperts(Tensor x, CudaExperts experts, ExpertRouting routing, Tensor y, bool gather) =>
        _expertMatMul.Run(Rounded(x), experts, routing, y, gather);

    public void Dispose()
    {
        _loader.Dispose();
        _tiledLoader.Dispose();
    }

    private CudaLinear LoadLinear(ReadOnlySpan<WeightData> parts)
    {
        CudaLinear linear = _loader.Load(parts);
        _matMul.Prepare(linear);
        return linear;
    }

    private TiledMatrix LoadTiled(PackedRows rows)
    {
        TiledMatrix matrix = _tiledLoader.Load(rows);
        _tiledMatMul.Prepare(matrix);
        if (matrix.Format.IsQuantized)
        {
            Quantizer.Prepare(matrix.Format, matrix.Columns);
        }
        return matrix;
    }

    private Tensor Rounded(Tensor x)
    {
        if (x.Type == DType.BF16)
        {
            return x;
        }
        Tensor rounded = _arena.Rent(x.Rows, x.Columns, DType.BF16);
        _rows.RoundRows(x, rounded);
        return rounded;
    }
}
