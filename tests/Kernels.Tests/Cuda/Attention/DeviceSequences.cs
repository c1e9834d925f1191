using System.Buffers.Binary;
using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda.Attention;

/// <summary>
/// Sequences of random queries, keys and values in BF16, any stretch of which the kernels of paged attention compute. What a step may
/// not read holds NaN in the cache and blocks that do not exist in the tables.
/// </summary>
internal sealed class DeviceSequences
{
    /// <summary>Elements between rows, as in an arena that rounds them up.</summary>
    private const int RowPadding = 8;

    private const int NoBlock = 1 << 28;

    private readonly TestDevice _device;
    private readonly PagedAttention _attention;
    private readonly int _seed;
    private readonly DType _cacheType;

    /// <param name="lengths">Tokens of each sequence.</param>
    public DeviceSequences(TestDevice device, PagedAttention attention, DType cacheType, AttentionShape shape, int blockSize, int seed, params int[] lengths)
    {
        (_device, _attention, _cacheType, Shape, BlockSize, _seed) = (device, attention, cacheType, shape, blockSize, seed);
        Rows = new ushort[lengths.Length][];
        for (int s = 0; s < lengths.Length; s++)
        {
            Random random = new(seed + s);
            Rows[s] = [.. Enumerable.Range(0, lengths[s] * shape.QkvColumns).Select(_ => ToBf16(3 * (2 * random.NextSingle() - 1)))];
        }
    }

    public AttentionShape Shape { get; }

    public int BlockSize { get; }

    /// <summary>[sequence][length · QkvColumns], BF16.</summary>
    public ushort[][] Rows { get; }

    /// <summary>Thread blocks that whole tiles have to occupy: 1 makes all long runs whole, int.MaxValue splits them.</summary>
    public int Multiprocessors { get; init; } = 4;

    public int MaxPartialRows { get; init; } = 4096;

    /// <summary>One step: tokens First .. First + Count of each named sequence, each result [Count][Heads][HeadDim] of BF16.</summary>
    public unsafe ushort[][] Attend(params (int Sequence, int First, int Count)[] work)
    {
        int tokens = work.Sum(item => item.Count), stride = Shape.QkvColumns + RowPadding, outputStride = Shape.OutputColumns + RowPadding;
        int tableStride = work.Max(item => Blocks(item.First + item.Count)) + 2;
        int[] starts = [0, .. work.Select((_, i) => work.Take(i + 1).Sum(item => item.Count))];
        int[] contexts = [.. work.Select(item => item.First + item.Count)];
        ushort[] queries = new ushort[tokens * stride];
        foreach (((int sequence, int first, int count), int start) in work.Zip(starts))
        {
            for (int t = 0; t < count; t++)
            {
                Rows[sequence].AsSpan((first + t) * Shape.QkvColumns, Shape.QkvColumns).CopyTo(queries.AsSpan((start + t) * stride));
            }
        }
        (KvCacheShape cache, byte[] keys, byte[] values, int[] tables) = Cache(work, tableStride);
        int group = Shape.Heads / Shape.KvHeads;
        int[] plan = new int[AttentionPlanner.MaxWords(tokens, work.Length, group)];
        AttentionPlanCounts counts = AttentionPlanner.Fill(plan, starts, contexts, Shape, Multiprocessors, MaxPartialRows);
        LastCounts = counts;

        CudaContext context = _device.Context;
        using CudaStream stream = new(context);
        using CudaDeviceVariable<ushort> q = Upload(queries);
        using CudaDeviceVariable<byte> k = Upload(keys), v = Upload(values);
        using CudaDeviceVariable<ushort> output = Upload(new ushort[tokens * outputStride]);
        using CudaDeviceVariable<int> devicePlan = Upload(plan[..counts.Words]), queryStart = Upload(starts), lengths = Upload(contexts), blockTables = Upload(tables);
        using CudaDeviceVariable<byte> workspace = new(context, _attention.WorkspaceBytes(Shape, _cacheType, counts.PartialRows) + 16);
        _attention.Run(stream, Shape, new PagedAttentionInputs
        {
            Queries = q.Pointer,
            QueryStride = stride,
            Keys = k.Pointer,
            Values = v.Pointer,
            Cache = cache,
            Output = output.Pointer,
            OutputStride = outputStride,
            QueryStart = queryStart.Pointer,
            ContextLengths = lengths.Pointer,
            BlockTables = blockTables.Pointer,
            BlockTableStride = tableStride,
            Plan = devicePlan.Pointer,
            Workspace = workspace.Pointer,
            PartialRows = counts.PartialRows,
        });
        stream.Synchronize();
        ushort[] rows = new ushort[tokens * outputStride];
        output.CopyToHost(rows);
        return [.. work.Zip(starts, (item, start) => Enumerable.Range(start, item.Count)
            .SelectMany(t => rows[(t * outputStride)..(t * outputStride + Shape.OutputColumns)]).ToArray())];
    }

    /// <summary>What the last step's plan held.</summary>
    public AttentionPlanCounts LastCounts { get; private set; }

    /// <summary>What double precision makes of one token: [Heads][HeadDim].</summary>
    public double[] Reference(int sequence, int position) =>
    [
        .. Enumerable.Range(0, Shape.Heads).SelectMany(head =>
        {
            int kvHead = head / (Shape.Heads / Shape.KvHeads);
            double[][] keys = [.. Enumerable.Range(0, position + 1).Select(t => Kept(sequence, t, Shape.Heads + kvHead))];
            double[][] values = [.. Enumerable.Range(0, position + 1).Select(t => Kept(sequence, t, Shape.Heads + Shape.KvHeads + kvHead))];
            return ReferenceOps.Attention(Head(sequence, position, head), keys, values, position, Shape);
        }),
    ];

    public static float[] ToFloats(ushort[] values) => Array.ConvertAll(values, value => BitConverter.UInt32BitsToSingle((uint)value << 16));

    private static ushort ToBf16(float value) => (ushort)((BitConverter.SingleToUInt32Bits(value) + 0x8000) >> 16);

    private int Blocks(int tokens) => (tokens + BlockSize - 1) / BlockSize;

    private double[] Head(int sequence, int position, int head) => Array.ConvertAll(ToFloats(Elements(sequence, position, head)), value => (double)value);

    private double[] Kept(int sequence, int position, int head) => CacheRounding.Of(_cacheType, Head(sequence, position, head));

    private ushort[] Elements(int sequence, int position, int head) =>
        Rows[sequence][(position * Shape.QkvColumns + head * Shape.HeadDim)..][..Shape.HeadDim];

    /// <summary>Blocks in random order, of which those that end before the window are already given away.</summary>
    private (KvCacheShape Shape, byte[] Keys, byte[] Values, int[] Tables) Cache((int Sequence, int First, int Count)[] work, int tableStride)
    {
        int blocks = work.Sum(item => Blocks(item.First + item.Count)) + 3, next = 0;
        int[] free = [.. Enumerable.Range(0, blocks)];
        new Random(_seed).Shuffle(free);
        KvCacheShape shape = new(1, blocks, BlockSize, Shape.KvHeads, Shape.HeadDim, _cacheType);
        byte[] keys = new byte[shape.ByteLength / 2];
        Array.Fill(keys, (byte)0xff); // NaN of every type
        byte[] values = [.. keys];
        int[] tables = new int[work.Length * tableStride];
        Array.Fill(tables, NoBlock);
        for (int i = 0; i < work.Length; i++)
        {
            (int sequence, int first, int count) = work[i];
            int visible = Shape.SlidingWindow == 0 ? 0 : Math.Max(0, first - Shape.SlidingWindow + 1);
            for (int t = visible; t < first + count; t++)
            {
                ref int block = ref tables[i * tableStride + t / BlockSize];
                block = block == NoBlock ? free[next++] : block;
                for (int head = 0; head < Shape.KvHeads; head++)
                {
                    Store(Elements(sequence, t, Shape.Heads + head), block, head, t % BlockSize, keys);
                    Store(Elements(sequence, t, Shape.Heads + Shape.KvHeads + head), block, head, t % BlockSize, values);
                }
            }
        }
        return (shape, keys, values, tables);
    }

    private void Store(ushort[] elements, int block, int head, int token, byte[] cache)
    {
        int rowBytes = Shape.HeadDim * _cacheType.Size(), scaleBytes = _cacheType.ScaleSize(), rows = Shape.KvHeads * BlockSize;
        Span<byte> to = cache.AsSpan(block * rows * (rowBytes + scaleBytes)), row = to.Slice((head * BlockSize + token) * rowBytes, rowBytes);
        if (scaleBytes == 0)
        {
            MemoryMarshal.AsBytes(elements.AsSpan()).CopyTo(row);
            return;
        }
        (byte[] bytes, float scale) = CacheRounding.Quantize(_cacheType, ToFloats(elements));
        bytes.CopyTo(row);
        BinaryPrimitives.WriteSingleLittleEndian(to[(rows * rowBytes + (head * BlockSize + token) * scaleBytes)..], scale);
    }

    private CudaDeviceVariable<T> Upload<T>(T[] content)
        where T : unmanaged
    {
        CudaDeviceVariable<T> memory = new(_device.Context, content.Length);
        memory.CopyToDevice(content);
        return memory;
    }
}
