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
            stack.Add(format is null ? new StackedRows(row, LoadLinear(run), null) : new StackedRows(row, null, LoadTiled(run)));
            row += stack[^1].Count;
        }
        return new StackedLinear([.. stack], parts[0].Columns);
    }

    /// <summary>Gates and ups in turns, for <see cref="RunGated"/>.</summary>
    /// <returns>Null where no kernel applies the activation: formats that differ, or whose activations are quantized.</returns>
    /// <exception cref="CudaUnavailableException">The device has too little memory.</exception>
    public CudaLinear? LoadGated(ReadOnlySpan<WeightData> gateParts, ReadOnlySpan<WeightData> upParts)
    {
        foreach (WeightData part in (ReadOnlySpan<WeightData>)[.. gateParts, .. upParts])
        {
            if (_tiledLoader.FormatOf(part) is not null)
            {
                return null;
            }
        }
        if (_loader.LoadGated(gateParts, upParts) is not { } interleaved)
        {
            return null;
        }
        _matMul.Prepare(interleaved);
        return interleaved;
    }

    /// <summary>Takes the memory for products of up to <paramref name="maxTokens"/> tokens with all loaded weights.</summary>
    public void Reserve(int maxTokens)
    {
        _matMul.Reserve(maxTokens, _runtime.Memory, _runtime.Stream);
        _tiledMatMul.Reserve(maxTokens, _runtime.Memory, _runtime.Stream);
    }

    /// <summary>y = x · Wᵀ (+ bias) (+ residual) for at least one row.</summary>
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
                _tiledMatMul.Run(_runtime.Stream, Quantizer.Of(rounded, part.Tiled!.Format), part.Tiled, ownBias, ownResidual, own);
            }
        }
    }

    /// <summary>y = silu(gate) · up for at least one row.</summary>
    public void RunGated(Tensor x, CudaLinear interleaved, Tensor y)
    {
        _matMul.Reserve(x.Rows, _runtime.Memory, _runtime.Stream);
        _matMul.Run(_runtime.Stream, Rounded(x), interleaved, default, null, y);
    }

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

    private TiledMatrix LoadTiled(ReadOnlySpan<WeightData> parts)
    {
        TiledMatrix matrix = _tiledLoader.Load(parts.ToArray());
        _tiledMatMul.Prepare(matrix);
        Quantizer.Prepare(matrix.Format, matrix.Columns);
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
