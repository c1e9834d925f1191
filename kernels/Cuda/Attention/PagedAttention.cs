using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>The device addresses of one call.</summary>
internal readonly record struct PagedAttentionInputs
{
    /// <summary>BF16 rows that begin with the queries, 16-byte aligned.</summary>
    public required DevicePtr Queries { get; init; }

    /// <summary>Elements from row to row, a multiple of eight.</summary>
    public required int QueryStride { get; init; }

    /// <summary>The layer's blocks, as <see cref="CudaKvCache"/> lays them out.</summary>
    public required DevicePtr Keys { get; init; }

    public required DevicePtr Values { get; init; }

    /// <summary>Type and geometry of the blocks, whose size is a multiple of 16 tokens.</summary>
    public required KvCacheShape Cache { get; init; }

    /// <summary>BF16 [tokens][Heads · HeadDim], 8-byte aligned.</summary>
    public required DevicePtr Output { get; init; }

    /// <summary>Elements from row to row, a multiple of four.</summary>
    public required int OutputStride { get; init; }

    /// <summary>int32 [sequences + 1], [sequences], [sequences][BlockTableStride].</summary>
    public required DevicePtr QueryStart { get; init; }

    public required DevicePtr ContextLengths { get; init; }

    public required DevicePtr BlockTables { get; init; }

    public required int BlockTableStride { get; init; }

    /// <summary><see cref="TreeToken"/> [tokens], 16-byte aligned; null where no sequence ends in a tree of drafts.</summary>
    public DevicePtr Trees { get; init; }

    /// <summary>What <see cref="AttentionPlanner.Fill"/> wrote for the same batch and shape, 16-byte aligned.</summary>
    public required DevicePtr Plan { get; init; }

    /// <summary>At least <see cref="PagedAttention.WorkspaceBytes"/> for the plan's partial rows, 16-byte aligned.</summary>
    public required DevicePtr Workspace { get; init; }

    /// <summary>Rows that the workspace has room for, for each KV head.</summary>
    public required int PartialRows { get; init; }
}

/// <summary>
/// Launches of paged_attention.cu and, for caches of 8 bits, of its siblings: one for the step's tiles and one that brings chunks
/// together. Both fill the device once and take their work from the plan, so that neither depends on the step.
/// </summary>
internal sealed unsafe class PagedAttention
{
    internal const int Threads = 128;

    private const int Warps = 4;

    /// <summary>Window of a token that sees all before it; with any position it stays in the range of an int.</summary>
    private const int NoWindow = 1 << 30;

    private static readonly int[] HeadDims = [64, 80, 96, 128, 256];

    private readonly Func<string, CudaModule> _module;
    private readonly int _multiprocessors;
    private readonly Dictionary<(DType, int), Variant> _variants = [];

    /// <param name="module">Of a source file; lives as long as this.</param>
    public PagedAttention(Func<string, CudaModule> module, CudaDevice device)
    {
        _module = module;
        _multiprocessors = device.MultiprocessorCount;
    }

    public static bool Supports(int headDim) => HeadDims.AsSpan().Contains(headDim);

    /// <summary>Bytes of partial results and scratch memory.</summary>
    /// <param name="partialRows">The most of any plan.</param>
    public long WorkspaceBytes(in AttentionShape shape, DType cacheType, int partialRows) =>
        checked(ScratchBytes(cacheType, shape.HeadDim) + (long)partialRows * shape.KvHeads * (shape.HeadDim + 2) * sizeof(float));

    public void Run(CudaStream stream, in AttentionShape shape, in PagedAttentionInputs inputs)
    {
        Variant variant = Of(inputs.Cache.Type, shape.HeadDim);
        DevicePtr partial = inputs.Workspace + ScratchBytes(inputs.Cache.Type, shape.HeadDim);
        Arguments arguments = new()
        {
            Queries = inputs.Queries,
            Keys = inputs.Keys,
            Values = inputs.Values,
            Output = inputs.Output,
            Plan = inputs.Plan,
            QueryStart = inputs.QueryStart,
            ContextLengths = inputs.ContextLengths,
            BlockTables = inputs.BlockTables,
            Partial = partial,
            PartialState = partial + (long)inputs.PartialRows * shape.KvHeads * shape.HeadDim * sizeof(float),
            Scratch = inputs.Workspace,
            Trees = inputs.Trees,
            ScaleLog2 = (float)(shape.Scale * (1 / Math.Log(2))),
            QueryStride = inputs.QueryStride,
            OutputStride = inputs.OutputStride,
            KvHeads = shape.KvHeads,
            Group = shape.Heads / shape.KvHeads,
            BlockSize = inputs.Cache.BlockSize,
            BlockBytes = (int)(inputs.Cache.BytesPerBlock / (2 * inputs.Cache.Layers)),
            TableStride = inputs.BlockTableStride,
            Window = shape.SlidingWindow == 0 ? NoWindow : Math.Min(shape.SlidingWindow, NoWindow),
        };
        LaunchShape attend = new(variant.Blocks, Threads, SharedBytes(inputs.Cache.Type, shape.HeadDim));
        variant.Attend.Launch(stream, attend, KernelArgument.Struct(&arguments));
        variant.Combine.Launch(stream, new LaunchShape(variant.Blocks, Threads), KernelArgument.Struct(&arguments));
    }

    /// <summary>What Layout of attention.cuh says: whole tiles' stages, scales and totals, or the rings of split tiles.</summary>
    internal static int SharedBytes(DType cacheType, int headDim)
    {
        bool isLarge = headDim > 128, isScaled = cacheType.ScaleSize() > 0;
        int tileTokens = isLarge ? 32 : 64, scales = isScaled ? 2 * 8 * tileTokens : 0;
        int pieceBytes = 16 * headDim * cacheType.Size(), queryBytes = 16 * headDim * 2;
        int whole = 4 * (tileTokens / 16) * pieceBytes + scales + (isLarge ? Warps * queryBytes : TotalBytes(headDim));
        int pieces = isLarge ? 2 : isScaled ? 6 : 5;
        return Math.Max(whole, Warps * (pieces * pieceBytes + queryBytes + scales));
    }

    /// <summary>A thread block's totals over chunks: Layout::TotalVectors of each warp.</summary>
    private static int TotalBytes(int headDim) => Warps * (headDim / 8 + 1) * 32 * 16;

    /// <summary>Totals of large heads, which have no place in shared memory.</summary>
    private long ScratchBytes(DType cacheType, int headDim) => headDim > 128 ? (long)Of(cacheType, headDim).Blocks * TotalBytes(headDim) : 0;

    private Variant Of(DType cacheType, int headDim)
    {
        if (!_variants.TryGetValue((cacheType, headDim), out Variant? variant))
        {
            variant = Load(cacheType, headDim);
            _variants.Add((cacheType, headDim), variant);
        }
        return variant;
    }

    private Variant Load(DType cacheType, int headDim)
    {
        string name = cacheType switch
        {
            DType.Fp8 => "paged_attention_fp8",
            DType.Int8 => "paged_attention_int8",
            _ => "paged_attention",
        };
        CudaKernel attend = _module($"{name}.cu").GetKernel($"{name}_{headDim}");
        int blocks = _multiprocessors * attend.BlocksPerMultiprocessor(Threads, SharedBytes(cacheType, headDim));
        return new Variant(attend, _module("paged_attention.cu").GetKernel($"combine_attention_{headDim}"), blocks);
    }

    /// <param name="Blocks">Thread blocks that fill the device.</param>
    private sealed record Variant(CudaKernel Attend, CudaKernel Combine, int Blocks);

    /// <summary>AttentionArguments of the kernel.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Arguments
    {
        public DevicePtr Queries, Keys, Values, Output, Plan, QueryStart, ContextLengths, BlockTables, Partial, PartialState, Scratch, Trees;
        public float ScaleLog2;
        public int QueryStride, OutputStride, KvHeads, Group, BlockSize, BlockBytes, TableStride, Window;
    }
}
