using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// The products of a routing's assignments, each with the matrix of its expert, as one operation: a work item is one expert with some
/// of its panels. A row's bits are those of <see cref="MatMul"/>.
/// </summary>
internal sealed unsafe class ExpertMatMul(WorkerPool pool, CpuFeatures features) : IDisposable
{
    private readonly List<Tile> _tiles = [];
    private readonly List<int> _active = [];
    private byte* _encoded;
    private nuint _encodedBytes;

    ~ExpertMatMul() => NativeMemory.AlignedFree(_encoded);

    /// <summary>Makes room for activations of up to this size, so that <see cref="Run"/> allocates nothing.</summary>
    public void Reserve(int rows, int columns)
    {
        nuint bytes = MatMul.EncodedBytes(rows, columns);
        if (bytes > _encodedBytes)
        {
            NativeMemory.AlignedFree(_encoded);
            _encoded = (byte*)NativeMemory.AlignedAlloc(bytes, 64);
            _encodedBytes = bytes;
        }
    }

    /// <param name="x">[Tokens, columns] where <paramref name="gather"/>, [Assignments, columns] else.</param>
    /// <param name="y">[Assignments, matrix rows].</param>
    /// <param name="gather">Whether an assignment's activations are those of its token.</param>
    public void Run(Tensor x, CpuExperts experts, ExpertRouting routing, Tensor y, bool gather)
    {
        if (routing.Tokens == 0)
        {
            return;
        }
        Reserve(y.Rows, x.Columns);
        ListTiles(routing);
        int* tokens = gather ? (int*)routing.TokenOfAssignment : null;
        for (int segment = 0, column = 0; segment < experts.Segments; segment++)
        {
            PackedMatrix first = experts.Segment(0, segment);
            pool.Run(new EncodeJob(_tiles, x, tokens, first, _encoded), _tiles.Count);
            int panels = MatMul.PanelsPerChunk(first, first.Panels * _active.Count, pool.ThreadCount);
            MatMulArguments arguments = new() { Output = (float*)y.Address + column, OutputStride = y.RowStride };
            MultiplyJob multiply = new(experts, segment, _active, (int*)routing.Groups, arguments, TileKernel.For(first.Format, features), _encoded, panels);
            pool.Run(multiply, multiply.ChunksPerExpert * _active.Count);
            column += first.Rows;
        }
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_encoded);
        _encoded = null;
        _encodedBytes = 0;
        GC.SuppressFinalize(this);
    }

    private void ListTiles(ExpertRouting routing)
    {
        int* offsets = (int*)routing.Groups;
        _active.Clear();
        _tiles.Clear();
        for (int expert = 0; expert < routing.Experts; expert++)
        {
            int rows = offsets[expert + 1] - offsets[expert], tiles = MatMul.Tiles(rows);
            for (int tile = 0; tile < tiles; tile++)
            {
                (int start, int count) = MatMul.TileRows(rows, tiles, tile);
                _tiles.Add(new Tile(offsets[expert] + start, count));
            }
            if (rows > 0)
            {
                _active.Add(expert);
            }
        }
    }

    /// <summary>Neighbouring assignments of one expert.</summary>
    private readonly record struct Tile(int Start, int Count);

    private readonly struct EncodeJob(List<Tile> tiles, Tensor x, int* tokens, PackedMatrix matrix, byte* encoded) : IChunkedJob
    {
        public void Execute(int chunk)
        {
            (int start, int count) = tiles[chunk];
            int* rows = stackalloc int[TileKernel.MaxRows];
            for (int i = 0; i < count; i++)
            {
                rows[i] = tokens == null ? start + i : tokens[start + i];
            }
            nint rowBytes = (nint)matrix.Steps * matrix.Layout.ActivationStepBytes;
            ActivationEncoder.EncodeTile((float*)x.Address, x.RowStride, count, matrix.Columns, matrix.Layout, encoded + start * rowBytes, rows);
        }
    }

    private readonly struct MultiplyJob(
        CpuExperts experts, int segment, List<int> active, int* offsets, MatMulArguments arguments, TileKernel kernel, byte* encoded, int panelsPerChunk) : IChunkedJob
    {
        public int ChunksPerExpert => (experts.Segment(0, segment).Panels + panelsPerChunk - 1) / panelsPerChunk;

        public void Execute(int chunk)
        {
            (int index, int part) = Math.DivRem(chunk, ChunksPerExpert);
            int expert = active[index], first = offsets[expert];
            PackedMatrix matrix = experts.Segment(expert, segment);
            MatMulArguments own = arguments;
            own.Rows = offsets[expert + 1] - first;
            own.Output += (nint)first * own.OutputStride;
            nint rowBytes = (nint)matrix.Steps * matrix.Layout.ActivationStepBytes;
            int panel = part * panelsPerChunk;
            MatMul.MultiplyPanels(own, matrix, kernel, encoded + first * rowBytes, panel, Math.Min(panelsPerChunk, matrix.Panels - panel));
        }
    }
}
