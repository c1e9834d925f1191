using System.Numerics;
using System.Runtime.CompilerServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// The two products of attention for four rows at a time: each key or value vector that is read serves four rows. A row's sums
/// run over elements, or tokens, in ascending order in one accumulator a lane, so its bits do not depend on its neighbours.
/// </summary>
internal static unsafe class AttentionKernel<TElement>
    where TElement : struct, IKvElement
{
    public const int RowsAtOnce = 4;

    /// <summary>scores[row][token] = Σ over elements of q[row][element] · keys[element][token], for one block.</summary>
    /// <param name="q">[rows][headDim], rows a multiple of four.</param>
    /// <param name="keys">[headDim][tokenStride].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Scores(float* q, int rows, int headDim, byte* keys, int tokenStride, float* scores, int scoreStride)
    {
        int lanes = Vector<float>.Count;
        nint keyBytes = tokenStride * TElement.Size;
        for (int row = 0; row < rows; row += RowsAtOnce, q += RowsAtOnce * headDim, scores += RowsAtOnce * scoreStride)
        {
            float* q1 = q + headDim, q2 = q1 + headDim, q3 = q2 + headDim;
            for (int token = 0; token < tokenStride; token += 2 * lanes)
            {
                Vector<float> a0 = default, b0 = default, a1 = default, b1 = default;
                Vector<float> a2 = default, b2 = default, a3 = default, b3 = default;
                byte* k = keys + token * TElement.Size;
                for (nint d = 0; d < headDim; d++, k += keyBytes)
                {
                    TElement.Load(k, out Vector<float> ka, out Vector<float> kb);
                    Vector<float> x0 = new(q[d]), x1 = new(q1[d]), x2 = new(q2[d]), x3 = new(q3[d]);
                    a0 = Vector.MultiplyAddEstimate(x0, ka, a0);
                    b0 = Vector.MultiplyAddEstimate(x0, kb, b0);
                    a1 = Vector.MultiplyAddEstimate(x1, ka, a1);
                    b1 = Vector.MultiplyAddEstimate(x1, kb, b1);
                    a2 = Vector.MultiplyAddEstimate(x2, ka, a2);
                    b2 = Vector.MultiplyAddEstimate(x2, kb, b2);
                    a3 = Vector.MultiplyAddEstimate(x3, ka, a3);
                    b3 = Vector.MultiplyAddEstimate(x3, kb, b3);
                }
                float* s = scores + token;
                StorePair(s, a0, b0);
                StorePair(s + scoreStride, a1, b1);
                StorePair(s + 2L * scoreStride, a2, b2);
                StorePair(s + 3L * scoreStride, a3, b3);
            }
        }
    }

    /// <summary>Replaces the state's values by values · rescale + Σ over tokens of p[row][token] · v[token].</summary>
    /// <param name="p">[rows][scoreStride], a block's tokens at multiples of its token stride.</param>
    /// <param name="rescale">[rows].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Values(float* p, int scoreStride, float* rescale, in ValueBlocks blocks, float* values, int rows)
    {
        int lanes = Vector<float>.Count, stride = blocks.HeadStride;
        nint tokenBytes = stride * TElement.Size;
        for (int row = 0; row < rows; row += RowsAtOnce, p += RowsAtOnce * scoreStride, values += RowsAtOnce * stride, rescale += RowsAtOnce)
        {
            for (int d = 0; d < stride; d += 2 * lanes)
            {
                float* y = values + d;
                LoadPair(y, rescale[0], out Vector<float> a0, out Vector<float> b0);
                LoadPair(y + stride, rescale[1], out Vector<float> a1, out Vector<float> b1);
                LoadPair(y + 2L * stride, rescale[2], out Vector<float> a2, out Vector<float> b2);
                LoadPair(y + 3L * stride, rescale[3], out Vector<float> a3, out Vector<float> b3);
                for (int block = blocks.First; block <= blocks.Last; block++)
                {
                    int begin = block == blocks.First ? blocks.FirstOffset : 0;
                    int end = block == blocks.Last ? blocks.LastOffset : blocks.BlockSize - 1;
                    float* p0 = p + (long)block * blocks.TokenStride;
                    float* p1 = p0 + scoreStride, p2 = p1 + scoreStride, p3 = p2 + scoreStride;
                    byte* v = blocks.Panels[block] + begin * tokenBytes + d * TElement.Size;
                    for (nint t = begin; t <= end; t++, v += tokenBytes)
                    {
                        TElement.Load(v, out Vector<float> va, out Vector<float> vb);
                        Vector<float> x0 = new(p0[t]), x1 = new(p1[t]), x2 = new(p2[t]), x3 = new(p3[t]);
                        a0 = Vector.MultiplyAddEstimate(x0, va, a0);
                        b0 = Vector.MultiplyAddEstimate(x0, vb, b0);
                        a1 = Vector.MultiplyAddEstimate(x1, va, a1);
                        b1 = Vector.MultiplyAddEstimate(x1, vb, b1);
                        a2 = Vector.MultiplyAddEstimate(x2, va, a2);
                        b2 = Vector.MultiplyAddEstimate(x2, vb, b2);
                        a3 = Vector.MultiplyAddEstimate(x3, va, a3);
                        b3 = Vector.MultiplyAddEstimate(x3, vb, b3);
                    }
                }
                StorePair(y, a0, b0);
                StorePair(y + stride, a1, b1);
                StorePair(y + 2L * stride, a2, b2);
                StorePair(y + 3L * stride, a3, b3);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void LoadPair(float* y, float scale, out Vector<float> a, out Vector<float> b)
    {
        a = Vector.Load(y) * scale;
        b = Vector.Load(y + Vector<float>.Count) * scale;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StorePair(float* y, Vector<float> a, Vector<float> b)
    {
        a.Store(y);
        b.Store(y + Vector<float>.Count);
    }
}

/// <summary>The values that one softmax step reads: blocks First .. Last of the step, tokens FirstOffset of the first to LastOffset of the last.</summary>
internal unsafe ref struct ValueBlocks
{
    /// <summary>[blocks of a step] each [BlockSize][HeadStride].</summary>
    public byte** Panels;
    public int First;
    public int Last;
    public int FirstOffset;
    public int LastOffset;
    public int BlockSize;
    public int TokenStride;
    public int HeadStride;
}
