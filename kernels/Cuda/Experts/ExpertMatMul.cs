using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>The products of a routing's assignments with the matrices of their experts, by the kernels of expert_matmul_*.cu.</summary>
internal sealed unsafe class ExpertMatMul(CudaRuntime runtime)
{
    internal const int Threads = 256;

    /// <summary>Up to so many assignments every split has CTAs of its own, as in <see cref="CudaMatMul"/>.</summary>
    private const int SplitAssignments = 256;

    /// <summary>Tiles that run beside each other: mostly of one expert, whose weights they share in the L2 cache.</summary>
    private const int TilesAcross = 16;

    private readonly Dictionary<MatMulLayout, CudaKernel[]> _kernels = [];
    private readonly SplitWorkspace _workspace = new();

    /// <summary>Loads the kernels of a weight and takes the memory that its products need.</summary>
    public void Prepare(CudaExperts weight)
    {
        foreach (CudaMatrix matrix in weight.Segments)
        {
            if (!_kernels.ContainsKey(matrix.Layout))
            {
                CudaModule module = runtime.Module($"expert_{matrix.Layout.Unit}");
                _kernels.Add(matrix.Layout, [.. Enumerable.Range(0, 4).Select(variant => module.GetKernel($"expert_matmul_{matrix.Layout.Name}_t{8 << variant}"))]);
            }
            if (matrix.Splits > 1)
            {
                Reserve(matrix);
            }
        }
    }

    /// <summary>Queues the products. Allocates nothing.</summary>
    /// <param name="x">BF16 [Tokens, columns] where <paramref name="gather"/>, [Assignments, columns] else.</param>
    /// <param name="routing">Has at least one token.</param>
    /// <param name="output">F32 or BF16 [Assignments, weight.Rows].</param>
    /// <param name="gather">Whether an assignment's activations are those of its token.</param>
    public void Run(Tensor x, CudaExperts weight, ExpertRouting routing, Tensor output, bool gather)
    {
        CudaExpertRows rows = new()
        {
            Tiles = new DevicePtr((ulong)routing.Groups),
            XRows = gather ? new DevicePtr((ulong)routing.TokenOfAssignment) : default,
        };
        int row = 0;
        foreach (CudaMatrix matrix in weight.Segments)
        {
            CudaMatMulArguments arguments = new()
            {
                Weights = matrix.Weights,
                X = new DevicePtr((ulong)x.Address),
                XStride = x.RowStride,
                Factors = matrix.Factors,
                Out = new DevicePtr((ulong)output.Address) + (long)row * output.Type.Size(),
                OutStride = output.RowStride,
                Gated = matrix.IsGated ? 1 : 0,
                OutF32 = output.Type == DType.F32 ? 1 : 0,
                Partial = _workspace.Partial,
                Tickets = _workspace.Tickets,
                Tokens = routing.Assignments,
                Rows = matrix.Rows,
                Columns = matrix.Columns,
                Chunks = matrix.Chunks,
                Splits = matrix.Splits,
                TokenTiles = ExpertTiles.Count(routing.Assignments, routing.Experts),
            };
            arguments.Vectors = CudaMatMul.AllowsVectors(arguments, output.Type) ? 1 : 0;
            Launch(matrix, arguments, rows, ExpertTiles.Variant(routing.Assignments, routing.Experts));
            row += matrix.Rows;
        }
    }

    private void Launch(CudaMatrix matrix, CudaMatMulArguments arguments, CudaExpertRows rows, int variant)
    {
        arguments.TilesAcross = Math.Min(arguments.TokenTiles, TilesAcross);
        Dim3 grid = new(
            matrix.Blocks * arguments.TilesAcross,
            arguments.Tokens <= SplitAssignments ? matrix.Splits : 1,
            (arguments.TokenTiles + arguments.TilesAcross - 1) / arguments.TilesAcross);
        _kernels[matrix.Layout][variant].Launch(
            runtime.Stream, new LaunchShape(grid, Threads, matrix.Layout.SharedBytes(8 << variant)), KernelArgument.Struct(&arguments),
            KernelArgument.Struct(&rows));
    }

    private void Reserve(CudaMatrix matrix)
    {
        long tiles = 0, rows = 0;
        for (int assignments = 1; assignments <= SplitAssignments; assignments++)
        {
            int count = ExpertTiles.Count(assignments, matrix.Experts);
            tiles = Math.Max(tiles, count);
            rows = Math.Max(rows, (long)count * ExpertTiles.Rows(assignments, matrix.Experts));
        }
        long partialBytes = matrix.Blocks * matrix.Splits * rows * MatMulLayout.BlockRows * sizeof(float), ticketBytes = matrix.Blocks * tiles * sizeof(uint);
        _workspace.Reserve(partialBytes, ticketBytes, runtime.Memory, runtime.Stream);
    }
}
