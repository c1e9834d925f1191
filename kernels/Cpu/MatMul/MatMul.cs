using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>output = input · matrixᵀ (+ bias) (+ residual), all F32 rows.</summary>
internal unsafe struct MatMulArguments
{
    /// <summary>[Rows, matrix.Columns].</summary>
    public float* Input;

    /// <summary>Elements from one row to the next.</summary>
    public int InputStride;

    /// <summary>Rows of input and output.</summary>
    public int Rows;

    /// <summary>[Rows, matrix.Rows].</summary>
    public float* Output;

    /// <summary>Elements from one row to the next.</summary>
    public int OutputStride;

    /// <summary>[matrix.Rows]; may be null.</summary>
    public float* Bias;

    /// <summary>[Rows, matrix.Rows]; may be null, and may be the output.</summary>
    public float* Residual;

    /// <summary>Elements from one row to the next.</summary>
    public int ResidualStride;
}

/// <summary>
/// The matrix product of all weight formats. Activations are encoded once a call, tiles of up to eight rows then meet chunks
/// of weight panels that fit the second-level cache. A row's result does not depend on the other rows, bit for bit.
/// </summary>
internal sealed unsafe class MatMul(WorkerPool pool, CpuFeatures features) : IDisposable
{
    /// <summary>Weights of a chunk: small enough to stay in a core's L2 for all tiles, large enough to amortise the claim.</summary>
    private const int ChunkBytes = 192 << 10;

    /// <summary>Fewer elements than this are encoded faster by the caller alone than the workers can be told.</summary>
    private const int SerialEncodingElements = 32 << 10;

    private byte* _encoded;
    private nuint _encodedBytes;

    ~MatMul() => NativeMemory.AlignedFree(_encoded);

    /// <summary>Makes room for activations of up to this size, so that <see cref="Run"/> allocates nothing.</summary>
    public void Reserve(int rows, int columns)
    {
        nuint bytes = EncodedBytes(rows, columns);
        if (bytes > _encodedBytes)
        {
            NativeMemory.AlignedFree(_encoded);
            _encoded = (byte*)NativeMemory.AlignedAlloc(bytes, 64);
            _encodedBytes = bytes;
        }
    }

    public void Run(in MatMulArguments arguments, PackedMatrix matrix)
    {
        if (arguments.Rows == 0)
        {
            return;
        }

        Reserve(arguments.Rows, matrix.Columns);
        int tiles = Tiles(arguments.Rows);
        var encode = new EncodeJob(arguments, matrix, tiles, _encoded);
        if ((long)arguments.Rows * matrix.Columns <= SerialEncodingElements)
        {
            for (int tile = 0; tile < tiles; tile++)
            {
                encode.Execute(tile);
            }
        }
        else
        {
            pool.Run(encode, tiles);
        }

        int panels = PanelsPerChunk(matrix, matrix.Panels, pool.ThreadCount);
        var multiply = new MultiplyJob(arguments, matrix, TileKernel.For(matrix.Format, features), _encoded, panels);
        pool.Run(multiply, (matrix.Panels + panels - 1) / panels);
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_encoded);
        _encoded = null;
        _encodedBytes = 0;
        GC.SuppressFinalize(this);
    }

    /// <summary>Bytes of encoded activations, at most: F32 is the widest encoding, and its steps of columns are the shortest.</summary>
    public static nuint EncodedBytes(int rows, int columns) => (nuint)rows * (nuint)(columns + 255) / 256 * 256 * sizeof(float);

    /// <summary>Tiles of so many rows.</summary>
    public static int Tiles(int rows) => (rows + TileKernel.MaxRows - 1) / TileKernel.MaxRows;

    /// <summary>Enough chunks for the threads to finish together, whatever their speed.</summary>
    /// <param name="panels">Panels of the whole operation, each with all of <paramref name="matrix"/>'s columns.</param>
    public static int PanelsPerChunk(PackedMatrix matrix, int panels, int threads)
    {
        int fair = panels / (threads * 8);
        return Math.Max(1, Math.Min(fair, (int)(ChunkBytes / matrix.PanelBytes)));
    }

    /// <summary>The rows cut into tiles whose sizes differ by at most one.</summary>
    public static (int Start, int Count) TileRows(int rows, int tiles, int tile)
    {
        int size = rows / tiles, larger = rows % tiles;
        return (tile * size + Math.Min(tile, larger), tile < larger ? size + 1 : size);
    }

    /// <summary>The rows' results for some panels of the matrix.</summary>
    /// <param name="encoded">The rows, encoded in tiles.</param>
    public static void MultiplyPanels(in MatMulArguments arguments, PackedMatrix matrix, TileKernel kernel, byte* encoded, int panel, int panels)
    {
        int row = panel * PanelLayout.PanelRows, tiles = Tiles(arguments.Rows);
        nint rowBytes = (nint)matrix.Steps * matrix.Layout.ActivationStepBytes;
        for (int tile = 0; tile < tiles; tile++)
        {
            (int start, int count) = TileRows(arguments.Rows, tiles, tile);
            TileArguments call = new()
            {
                Weights = matrix.Panel(panel),
                Activations = encoded + start * rowBytes,
                Output = arguments.Output + (nint)start * arguments.OutputStride + row,
                OutputStride = (long)arguments.OutputStride * sizeof(float),
                Bias = arguments.Bias == null ? null : arguments.Bias + row,
                Residual = arguments.Residual == null ? null : arguments.Residual + (nint)start * arguments.ResidualStride + row,
                ResidualStride = (long)arguments.ResidualStride * sizeof(float),
                Steps = matrix.Steps,
                Panels = panels,
                LastPanelMask = panel + panels == matrix.Panels ? matrix.LastPanelMask : 0xFFFF,
                Rows = count,
            };
            kernel.Run(&call);
        }
    }

    private readonly struct EncodeJob(MatMulArguments arguments, PackedMatrix matrix, int tiles, byte* encoded) : IChunkedJob
    {
        public void Execute(int chunk)
        {
            (int start, int count) = TileRows(arguments.Rows, tiles, chunk);
            nint rowBytes = (nint)matrix.Steps * matrix.Layout.ActivationStepBytes;
            ActivationEncoder.EncodeTile(
                arguments.Input + (nint)start * arguments.InputStride, arguments.InputStride, count, matrix.Columns,
                matrix.Layout, encoded + start * rowBytes);
        }
    }

    private readonly struct MultiplyJob(
        MatMulArguments arguments, PackedMatrix matrix, TileKernel kernel, byte* encoded, int panelsPerChunk) : IChunkedJob
    {
        public void Execute(int chunk)
        {
            int panel = chunk * panelsPerChunk;
            MultiplyPanels(arguments, matrix, kernel, encoded, panel, Math.Min(panelsPerChunk, matrix.Panels - panel));
        }
    }
}
