using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// Quantizes BF16 activations, once for all products of a layer that read them. Norms and gated activations whose width a loaded
/// W8A8 matrix takes write the quantized rows beside the BF16 ones; the bits are those that quantizing the BF16 rows gives.
/// </summary>
internal sealed unsafe class ActivationQuantizer(StepArena arena, CudaStream stream, Func<string, string, CudaKernel> load)
{
    internal const int Threads = 512, SharedBytes = 1024;

    private readonly Dictionary<int, TiledFormat> _formats = [];
    private readonly Dictionary<TiledFormat, (CudaKernel Rows, CudaKernel Norm, CudaKernel Gated)> _kernels = [];
    private readonly List<(Tensor X, TiledFormat Format, TiledActivation Rows)> _quantized = [];

    /// <summary>Tells that a matrix of this format takes rows of so many columns.</summary>
    public void Prepare(TiledFormat format, int columns)
    {
        _formats[columns] = format;
        if (!_kernels.ContainsKey(format))
        {
            _kernels.Add(format, (
                load("quantize_rows.cu", $"quantize_rows_{format.Name}"),
                load("rms_norm.cu", $"rms_norm_{format.Name}"),
                load("quantize_rows.cu", $"gated_activation_{format.Name}")));
        }
    }

    /// <summary>The norm of F32 rows as BF16 and quantized, where a matrix takes rows of their width; else false and nothing.</summary>
    public bool RmsNorm(Tensor x, CudaVector gain, float epsilon, Tensor y)
    {
        if (y.Rows == 0 || !_formats.TryGetValue(y.Columns, out TiledFormat? format))
        {
            return false;
        }
        TiledRowsArgument quantized = Add(y, format).Argument;
        _kernels[format].Norm.Launch(
            stream, new LaunchShape(y.Rows, Threads, SharedBytes),
            Pointer(x), x.RowStride, gain.Values, Pointer(y), y.RowStride, y.Columns, epsilon, KernelArgument.Struct(&quantized));
        return true;
    }

    /// <summary>silu(gate) · up of BF16 rows as BF16 and quantized, where a matrix takes rows of their width; else false and nothing.</summary>
    public bool GatedActivation(Tensor gateUp, Tensor y)
    {
        if (y.Rows == 0 || y.Type != DType.BF16 || !_formats.TryGetValue(y.Columns, out TiledFormat? format))
        {
            return false;
        }
        TiledRowsArgument quantized = Add(y, format).Argument;
        _kernels[format].Gated.Launch(
            stream, new LaunchShape(y.Rows, Threads, SharedBytes),
            Pointer(gateUp), gateUp.RowStride, Pointer(y), y.RowStride, y.Columns, KernelArgument.Struct(&quantized));
        return true;
    }

    /// <summary>The quantized rows of <paramref name="x"/>, BF16, which are made if no operation has.</summary>
    public TiledActivation Of(Tensor x, TiledFormat format)
    {
        foreach ((Tensor known, TiledFormat knownFormat, TiledActivation rows) in _quantized)
        {
            if (known == x && knownFormat == format)
            {
                return rows;
            }
        }
        TiledActivation made = Add(x, format);
        TiledRowsArgument to = made.Argument;
        _kernels[format].Rows.Launch(
            stream, new LaunchShape(x.Rows, Threads, SharedBytes), Pointer(x), x.RowStride, x.Columns, KernelArgument.Struct(&to));
        return made;
    }

    /// <summary>Forgets all rows: the arena is about to hand their memory out again.</summary>
    public void Forget() => _quantized.Clear();

    private static DevicePtr Pointer(Tensor tensor) => new((ulong)tensor.Address);

    /// <summary>Memory for the quantized rows of <paramref name="x"/>.</summary>
    private TiledActivation Add(Tensor x, TiledFormat format)
    {
        // A chunk of a row is 32 words.
        Tensor values = arena.Rent(format.Chunks(x.Columns) * TiledFormat.PaddedTokens(x.Rows), TiledFormat.ChunkBytes / sizeof(float));
        TiledActivation rows = new(Pointer(values), Pointer(arena.Rent(1, x.Rows)), x.Rows);
        _quantized.Add((x, format, rows));
        return rows;
    }
}
