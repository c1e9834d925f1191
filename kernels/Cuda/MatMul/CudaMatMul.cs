using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Cuda.Memory;

namespace LlamaServe.Kernels.Cuda;

/// <summary>x · Wᵀ (+ bias) (+ residual) on the device, by the kernels of matmul_*.cu.</summary>
/// <param name="load">Loads the module of a unit, a file's name; called once for each layout that is used.</param>
internal sealed unsafe class CudaMatMul(Func<string, CudaModule> load)
{
    internal const int Threads = 256;

    /// <summary>Most tokens of a tile.</summary>
    private const int LargestTile = 64;

    /// <summary>
    /// Up to so many tokens every split has CTAs of its own; beyond, the tokens alone fill the device, and a tile's CTA goes through
    /// the splits one by one, in the same order.
    /// </summary>
    private const int SplitTokens = 256;

    /// <summary>Token tiles that run beside each other, so that neighbouring CTAs share weights and activations in the L2 cache.</summary>
    private const int TilesAcross = 16;

    private readonly Dictionary<MatMulLayout, CudaKernel[]> _kernels = [];
    private readonly SplitWorkspace _workspace = new();
    private int _splitBlocks, _blocks;

    /// <summary>Loads the kernels of a weight, and counts it in <see cref="Reserve"/>.</summary>
    public void Prepare(CudaLinear weight)
    {
        foreach (CudaMatrix matrix in weight.Segments)
        {
            if (!_kernels.ContainsKey(matrix.Layout))
            {
                CudaModule module = load(matrix.Layout.Unit);
                _kernels.Add(matrix.Layout, [.. new[] { 8, 16, 32, LargestTile }.Select(tokens => module.GetKernel($"matmul_{matrix.Layout.Name}_t{tokens}"))]);
            }
            if (matrix.Splits > 1)
            {
                _splitBlocks = Math.Max(_splitBlocks, matrix.Blocks * matrix.Splits);
                _blocks = Math.Max(_blocks, matrix.Blocks);
            }
        }
    }

    /// <summary>Takes the memory for products of up to <paramref name="maxTokens"/> tokens with all prepared weights.</summary>
    public void Reserve(int maxTokens, DevicePool pool, CudaStream stream)
    {
        int tiles = (Math.Min(maxTokens, SplitTokens) + LargestTile - 1) / LargestTile;
        long partialBytes = (long)_splitBlocks * tiles * LargestTile * MatMulLayout.BlockRows * sizeof(float);
        long ticketBytes = (long)_blocks * tiles * sizeof(uint);
        _workspace.Reserve(partialBytes, ticketBytes, pool, stream);
    }

    /// <summary>Queues the product. Allocates nothing.</summary>
    /// <param name="x">BF16 [tokens, weight.Columns]; row stride a multiple of 8, address of 16 bytes.</param>
    /// <param name="weight">Prepared, and the tokens reserved.</param>
    /// <param name="bias">F32 [weight.Rows], or 0.</param>
    /// <param name="residual">F32 [tokens, weight.Rows], or null; may be the output.</param>
    /// <param name="output">F32 or BF16 [tokens, weight.Rows].</param>
    public void Run(CudaStream stream, Tensor x, CudaLinear weight, DevicePtr bias, Tensor? residual, Tensor output)
    {
        int row = 0;
        foreach (CudaMatrix matrix in weight.Segments)
        {
            CudaMatMulArguments arguments = new()
            {
                Weights = matrix.Weights,
                X = new DevicePtr((ulong)x.Address),
                XStride = x.RowStride,
                Factors = matrix.Factors,
                Bias = bias.Address == 0 ? bias : bias + row * sizeof(float),
                Residual = residual is { } r ? new DevicePtr((ulong)r.Address) + (long)row * sizeof(float) : default,
                ResidualStride = residual?.RowStride ?? 0,
                Out = new DevicePtr((ulong)output.Address) + (long)row * output.Type.Size(),
                OutStride = output.RowStride,
                OutF32 = output.Type == DType.F32 ? 1 : 0,
                Gated = matrix.IsGated ? 1 : 0,
                Tokens = x.Rows,
                Rows = matrix.Rows,
                Columns = matrix.Columns,
                Chunks = matrix.Chunks,
                Splits = matrix.Splits,
            };
            arguments.Vectors = AllowsVectors(arguments, output.Type) ? 1 : 0;
            Launch(stream, matrix, arguments);
            row += matrix.Rows;
        }
    }

    private void Launch(CudaStream stream, CudaMatrix matrix, CudaMatMulArguments arguments)
    {
        int variant = arguments.Tokens switch { <= 8 => 0, <= 16 => 1, <= 32 => 2, _ => 3 }, tile = 8 << variant;
        arguments.TokenTiles = (arguments.Tokens + tile - 1) / tile;
        arguments.TilesAcross = Math.Min(arguments.TokenTiles, TilesAcross);
        arguments.Partial = _workspace.Partial;
        arguments.Tickets = _workspace.Tickets;
        Dim3 grid = new(
            matrix.Blocks * arguments.TilesAcross,
            arguments.Tokens <= SplitTokens ? matrix.Splits : 1,
            (arguments.TokenTiles + arguments.TilesAcross - 1) / arguments.TilesAcross);
        LaunchShape shape = new(grid, Threads, matrix.Layout.SharedBytes(tile));
        _kernels[matrix.Layout][variant].Launch(stream, shape, KernelArgument.Struct(&arguments));
    }

    /// <summary>Whether rows of bias, residual and results can be accessed four at a time.</summary>
    public static bool AllowsVectors(in CudaMatMulArguments arguments, DType type)
    {
        ulong addresses = arguments.Bias.Address | arguments.Residual.Address | arguments.Out.Address * (type == DType.F32 ? 1u : 2u);
        return ((arguments.Rows | arguments.OutStride | arguments.ResidualStride) & 3) == 0 && (addresses & 15) == 0;
    }
}
