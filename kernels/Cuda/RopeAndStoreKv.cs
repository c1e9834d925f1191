using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Launches of rope_and_store_kv.cu, and the tables of rotations that they read.</summary>
internal sealed unsafe class RopeAndStoreKv(CudaRuntime runtime) : IDisposable
{
    /// <summary>The widest head of the kernel, whose heads are multiples of 16.</summary>
    public const int MaxHeadDim = 256;

    internal const int Threads = 256;

    private readonly CudaKernel _bf16 = runtime.Kernel("rope_and_store_kv.cu", "rope_and_store_kv");
    private readonly CudaKernel _fp8 = runtime.Kernel("rope_and_store_kv.cu", "rope_and_store_kv_fp8");
    private readonly CudaKernel _int8 = runtime.Kernel("rope_and_store_kv.cu", "rope_and_store_kv_int8");
    private readonly List<CudaRopeTable> _tables = [];

    public void Run(Tensor qkv, ForwardBatch batch, StepInputs inputs, AttentionShape shape, RopeParameters rope, CudaKvCache cache, int layer, CudaHeadNorms? norms)
    {
        RopeArguments arguments = new()
        {
            Qkv = new DevicePtr((ulong)qkv.Address),
            QkvStride = qkv.RowStride,
            Table = TableFor(rope, batch).Memory,
            Positions = inputs.Positions,
            Slots = inputs.SlotMapping,
            Keys = cache.Keys(layer),
            Values = cache.Values(layer),
            QueryGain = norms?.Query.Values ?? default,
            KeyGain = norms?.Key.Values ?? default,
            Epsilon = norms?.Epsilon ?? 0,
            Heads = shape.Heads,
            KvHeads = shape.KvHeads,
            HeadDim = shape.HeadDim,
            BlockSize = cache.Shape.BlockSize,
            BlockBytes = cache.BlockBytes,
            Interleaved = rope.Style == RopeStyle.Interleaved ? 1 : 0,
        };
        CudaKernel kernel = cache.Shape.Type switch
        {
            DType.Fp8 => _fp8,
            DType.Int8 => _int8,
            _ => _bf16,
        };
        kernel.Launch(runtime.Stream, new LaunchShape(batch.TokenCount, Threads), KernelArgument.Struct(&arguments));
    }

    /// <summary>Makes sure that all tables of rotations so far have the batch's positions.</summary>
    public void Cover(ForwardBatch batch)
    {
        int last = LastPosition(batch);
        foreach (CudaRopeTable table in _tables)
        {
            table.Cover(last);
        }
    }

    public void Dispose() => _tables.ForEach(table => table.Dispose());

    private CudaRopeTable TableFor(RopeParameters rope, ForwardBatch batch)
    {
        CudaRopeTable? table = null;
        foreach (CudaRopeTable candidate in _tables)
        {
            table = candidate.Parameters == rope ? candidate : table;
        }
        if (table is null)
        {
            table = new CudaRopeTable(runtime, rope);
            _tables.Add(table);
        }
        table.Cover(LastPosition(batch));
        return table;
    }

    private static int LastPosition(ForwardBatch batch)
    {
        int last = 0;
        foreach (int position in batch.Positions)
        {
            last = Math.Max(last, position);
        }
        return last;
    }

    /// <summary>As rope_and_store_kv.cu declares them.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct RopeArguments
    {
        public DevicePtr Qkv, Table, Positions, Slots, Keys, Values, QueryGain, KeyGain;
        public float Epsilon;
        public int QkvStride, Heads, KvHeads, HeadDim, BlockSize, BlockBytes, Interleaved;
    }
}

/// <summary>Gains of a layer's query and key heads.</summary>
internal readonly record struct CudaHeadNorms(CudaVector Query, CudaVector Key, float Epsilon);
