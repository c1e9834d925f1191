using System.Numerics;
using System.Runtime.CompilerServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>Everything that <see cref="RopeAndStoreKv"/> needs besides rows and slots.</summary>
internal readonly unsafe struct RopeInputs
{
    public required AttentionShape Shape { get; init; }

    public required RopeTable Table { get; init; }

    public required CpuKvCache Cache { get; init; }

    public required int Layer { get; init; }

    /// <summary>Gain of the queries' RmsNorm; null for none.</summary>
    public required CpuVector? QueryGain { get; init; }

    public required CpuVector? KeyGain { get; init; }

    public required float Epsilon { get; init; }
}

/// <summary>Per-head norms, rotation (RoFormer, arXiv:2104.09864) and the write of keys and values to their slots.</summary>
internal static unsafe class RopeAndStoreKv
{
    public static void Run(WorkerPool pool, Tensor qkv, ForwardBatch batch, in RopeInputs inputs)
    {
        int chunks = RowChunks.Count(qkv.Rows, 2L * qkv.Columns, pool.ThreadCount);
        if (inputs.Cache.Shape.Type == DType.F32)
        {
            pool.Run(new Job<KvF32>(qkv, batch, inputs, chunks), chunks);
        }
        else
        {
            pool.Run(new Job<KvBF16>(qkv, batch, inputs, chunks), chunks);
        }
    }

    /// <summary>Rotates one head by the angles of <paramref name="cosines"/>' position.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RotateHalfSplit(float* x, float* cosines, int headDim)
    {
        float* sines = cosines + headDim;
        int half = headDim / 2, lanes = Vector<float>.Count;
        int i = 0;
        for (; i <= half - lanes; i += lanes)
        {
            Vector<float> a = Vector.Load(x + i), b = Vector.Load(x + i + half);
            Vector<float> cos = Vector.Load(cosines + i), sin = Vector.Load(sines + half + i);
            (a * cos - b * sin).Store(x + i);
            (b * cos + a * sin).Store(x + i + half);
        }
        for (; i < half; i++)
        {
            float a = x[i], b = x[i + half], sin = sines[half + i];
            x[i] = a * cosines[i] - b * sin;
            x[i + half] = b * cosines[i] + a * sin;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RotateInterleaved(float* x, float* cosines, int headDim)
    {
        float* sines = cosines + headDim;
        int lanes = Vector<float>.Count;
        int i = 0;
        for (; i <= headDim - lanes; i += lanes)
        {
            Vector<float> v = Vector.Load(x + i);
            Vector<ulong> pairs = Vector.AsVectorUInt64(v);
            Vector<float> partners = Vector.AsVectorSingle((pairs << 32) | (pairs >>> 32));
            (v * Vector.Load(cosines + i) + partners * Vector.Load(sines + i)).Store(x + i);
        }
        for (; i < headDim; i += 2)
        {
            float a = x[i], b = x[i + 1];
            x[i] = a * cosines[i] + b * sines[i];
            x[i + 1] = b * cosines[i + 1] + a * sines[i + 1];
        }
    }

    private readonly struct Job<TElement>(Tensor qkv, ForwardBatch batch, RopeInputs inputs, int chunks) : IChunkedJob
        where TElement : struct, IKvElement
    {
        public void Execute(int chunk)
        {
            ReadOnlySpan<int> positions = batch.Positions, slots = batch.SlotMapping;
            int end = RowChunks.Start(chunk + 1, chunks, qkv.Rows);
            for (int token = RowChunks.Start(chunk, chunks, qkv.Rows); token < end; token++)
            {
                AttentionShape shape = inputs.Shape;
                float* q = (float*)qkv.Address + (long)token * qkv.RowStride;
                float* k = q + shape.Heads * shape.HeadDim;
                float* cosines = inputs.Table.Row(positions[token]);
                NormAndRotate(q, shape.Heads, inputs.QueryGain, cosines);
                NormAndRotate(k, shape.KvHeads, inputs.KeyGain, cosines);
                Store(k, k + shape.KvHeads * shape.HeadDim, slots[token]);
            }
        }

        private void NormAndRotate(float* heads, int count, CpuVector? gain, float* cosines)
        {
            int headDim = inputs.Shape.HeadDim;
            for (float* head = heads; head < heads + count * headDim; head += headDim)
            {
                if (gain is not null)
                {
                    RmsNorm.Row(head, gain.Values, inputs.Epsilon, head, headDim);
                }
                if (inputs.Table.Parameters.Style == RopeStyle.HalfSplit)
                {
                    RotateHalfSplit(head, cosines, headDim);
                }
                else
                {
                    RotateInterleaved(head, cosines, headDim);
                }
            }
        }

        private void Store(float* k, float* v, int slot)
        {
            CpuKvCache cache = inputs.Cache;
            int headDim = inputs.Shape.HeadDim;
            (int block, int offset) = Math.DivRem(slot, cache.Shape.BlockSize);
            for (int head = 0; head < inputs.Shape.KvHeads; head++, k += headDim, v += headDim)
            {
                byte* keys = cache.Head(inputs.Layer, block, head);
                byte* values = keys + cache.KeyPanelBytes;
                long key = offset, value = (long)offset * cache.HeadStride;
                for (int d = 0; d < headDim; d++, key += cache.TokenStride)
                {
                    TElement.Store(keys, key, k[d]);
                    TElement.Store(values, value + d, v[d]);
                }
            }
        }
    }
}
