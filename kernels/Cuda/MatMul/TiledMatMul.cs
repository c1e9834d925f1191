using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Cuda.Memory;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Products of activations with weights of the same type, by the kernels of tiled_matmul.cuh.</summary>
/// <param name="load">Loads the module of a unit, a file's name.</param>
/// <param name="architecture">What the modules are compiled for.</param>
/// <param name="multiprocessors">Of the device.</param>
internal sealed unsafe class TiledMatMul(Func<string, CudaModule> load, GpuArchitecture architecture, int multiprocessors)
{
    /// <summary>
    /// Up to so many tokens every split has CTAs of its own; beyond, the tokens alone fill the device, and a CTA goes through the
    /// splits one by one, in the same order.
    /// </summary>
    private const int SplitTokens = 256;

    /// <summary>The variant for more than 64 tokens whose splits may have CTAs of their own.</summary>
    private const int SplitTile = 128;

    /// <summary>Tokens of the tiles that run beside each other, so that CTAs share weights and activations in the L2 cache.</summary>
    private const int TokensAcross = 2048;

    private readonly Dictionary<TiledFormat, (TiledVariant Variant, CudaKernel Kernel)[]> _kernels = [];
    private readonly SplitWorkspace _workspace = new();
    private int _splitBlocks, _blocks;

    /// <summary>Loads the kernels of a matrix, and counts it in <see cref="Reserve"/>.</summary>
    public void Prepare(TiledMatrix matrix)
    {
        if (!_kernels.ContainsKey(matrix.Format))
        {
            CudaModule module = load(matrix.Format.Unit);
            _kernels.Add(matrix.Format, Array.ConvertAll(
                TiledVariant.Of(matrix.Format, architecture), variant => (variant, module.GetKernel($"matmul_{matrix.Format.Name}_t{variant.Tokens}"))));
        }
        if (matrix.Splits > 1)
        {
            _splitBlocks = Math.Max(_splitBlocks, matrix.Blocks * matrix.Splits);
            _blocks = Math.Max(_blocks, matrix.Blocks);
        }
    }

    /// <summary>Takes the memory for products of up to <paramref name="maxTokens"/> tokens with all prepared matrices.</summary>
    public void Reserve(int maxTokens, DevicePool pool, CudaStream stream)
    {
        int tiles = (Math.Min(maxTokens, SplitTokens) + SplitTile - 1) / SplitTile;
        long partialBytes = (long)_splitBlocks * tiles * SplitTile * TiledFormat.BlockRows * sizeof(float);
        long ticketBytes = (long)_blocks * tiles * sizeof(uint);
        _workspace.Reserve(partialBytes, ticketBytes, pool, stream);
    }

    /// <summary>Queues the product. Allocates nothing.</summary>
    /// <param name="x">Rows of the matrix's columns, and of its format or BF16 where that is not quantized.</param>
    /// <param name="matrix">Prepared, and the tokens reserved. A gated one takes neither bias nor residual.</param>
    /// <param name="bias">F32 [matrix.Rows], or 0.</param>
    /// <param name="residual">F32 [tokens, matrix.Rows], or null; may be the output.</param>
    /// <param name="output">F32 or BF16 [tokens, matrix.Rows].</param>
    public void Run(CudaStream stream, TiledActivation x, TiledMatrix matrix, DevicePtr bias, Tensor? residual, Tensor output)
    {
        TiledMatMulArguments arguments = new()
        {
            Weights = matrix.Weights,
            X = x.Values,
            XStride = x.RowStride,
            RowScales = matrix.Scales,
            XScales = x.Scales,
            Bias = bias,
            Residual = new DevicePtr((ulong)(residual?.Address ?? 0)),
            ResidualStride = residual?.RowStride ?? 0,
            Out = new DevicePtr((ulong)output.Address),
            OutStride = output.RowStride,
            OutF32 = output.Type == DType.F32 ? 1 : 0,
            Tokens = x.Tokens,
            PaddedTokens = TiledFormat.PaddedTokens(x.Tokens),
            Rows = matrix.Rows,
            Columns = matrix.Columns,
            Gated = matrix.IsGated ? 1 : 0,
            Chunks = matrix.Chunks,
            Splits = matrix.Splits,
            Apart = x.Tokens <= SplitTokens ? matrix.Splits : 1,
            Partial = _workspace.Partial,
            Tickets = _workspace.Tickets,
        };
        arguments.Vectors = AllowsVectors(arguments, output.Type) ? 1 : 0;
        Launch(stream, matrix, arguments);
    }

    private void Launch(CudaStream stream, TiledMatrix matrix, TiledMatMulArguments arguments)
    {
        (TiledVariant variant, CudaKernel kernel) = Choose(matrix, arguments);
        arguments.RowTiles = matrix.Blocks / variant.Blocks;
        arguments.TokenTiles = Tiles(arguments.Tokens, variant.Tokens);
        arguments.TilesAcross = Math.Min(arguments.TokenTiles, Math.Max(1, TokensAcross / variant.Tokens));
        int items = arguments.RowTiles * arguments.TokenTiles * arguments.Apart;
        int most = variant.PersistentCtas == 0 ? items : variant.PersistentCtas * multiprocessors;
        kernel.Launch(stream, new LaunchShape(Math.Min(items, most), variant.Threads, variant.SharedBytes), KernelArgument.Struct(&arguments));
    }

    /// <summary>The first variant that holds all tokens, and for more the widest where the tokens fill the device with such tiles.</summary>
    private (TiledVariant Variant, CudaKernel Kernel) Choose(TiledMatrix matrix, in TiledMatMulArguments arguments)
    {
        (TiledVariant Variant, CudaKernel Kernel) chosen = default;
        foreach ((TiledVariant Variant, CudaKernel Kernel) kernel in _kernels[matrix.Format])
        {
            TiledVariant variant = kernel.Variant;
            if (arguments.Tokens <= variant.Tokens && variant.Tokens < SplitTile)
            {
                return kernel;
            }
            bool isAllowed = arguments.Apart == 1 && (matrix.Format.IsExact || matrix.Splits == 1 || variant.AddsSplits);
            bool fills = matrix.Blocks / variant.Blocks * Tiles(arguments.Tokens, variant.Tokens) >= multiprocessors;
            if (variant.Tokens == SplitTile || (variant.Tokens > SplitTile && isAllowed && fills))
            {
                chosen = kernel;
            }
        }
        return chosen;
    }

    private static int Tiles(int tokens, int tile) => (tokens + tile - 1) / tile;

    private static bool AllowsVectors(in TiledMatMulArguments arguments, DType type)
    {
        ulong addresses = arguments.Bias.Address | arguments.Residual.Address | arguments.Out.Address * (type == DType.F32 ? 1u : 2u);
        return ((arguments.Rows | arguments.OutStride | arguments.ResidualStride) & 3) == 0 && (addresses & 15) == 0;
    }
}
