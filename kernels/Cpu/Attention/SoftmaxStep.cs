using System.Numerics;
using System.Runtime.CompilerServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>One step of a row's running softmax (Milakov and Gimelshein, arXiv:1805.02867) over a few blocks' scores.</summary>
internal static unsafe class SoftmaxStep
{
    /// <summary>
    /// Turns the scores of the offsets <paramref name="visibleFrom"/> .. <paramref name="visibleTo"/> − 1 into e^(score − max),
    /// all others into 0, and updates max and sum.
    /// </summary>
    /// <param name="scores">Blocks <paramref name="tokenStride"/> apart; offsets count tokens: block · blockSize + token.</param>
    /// <param name="firstBlock">Blocks before it and after <paramref name="lastBlock"/> are not touched.</param>
    /// <returns>The factor for what was summed before.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Row(
        float* scores, int firstBlock, int lastBlock, int blockSize, int tokenStride, int visibleFrom, int visibleTo, ref float max, ref float sum)
    {
        float* begin = scores + (long)firstBlock * tokenStride, end = scores + (lastBlock + 1L) * tokenStride;
        if (visibleFrom > firstBlock * blockSize || visibleTo < (lastBlock + 1) * blockSize || blockSize != tokenStride)
        {
            for (int block = firstBlock; block <= lastBlock; block++)
            {
                Mask(scores + (long)block * tokenStride, tokenStride, visibleFrom - block * blockSize, Math.Min(blockSize, visibleTo - block * blockSize));
            }
        }

        Vector<float> largest = new(float.NegativeInfinity);
        for (float* s = begin; s < end; s += Vector<float>.Count)
        {
            largest = Vector.MaxNative(largest, Vector.Load(s));
        }
        float newMax = MathF.Max(max, VectorMath.MaxLane(largest));
        float shift = newMax == float.NegativeInfinity ? 0 : newMax;

        Vector<float> sums = default;
        Vector<float> shifts = new(shift);
        for (float* s = begin; s < end; s += Vector<float>.Count)
        {
            Vector<float> p = VectorMath.Exp(Vector.Load(s) - shifts);
            p.Store(s);
            sums += p;
        }
        float rescale = VectorMath.Exp(max - shift);
        max = newMax;
        sum = sum * rescale + Vector.Sum(sums);
        return rescale;
    }

    /// <summary>Sets a block's scores outside [from, to) to −∞, whatever they hold: unwritten keys may be NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Mask(float* scores, int tokenStride, int from, int to)
    {
        for (int token = 0; token < tokenStride; token += Vector<float>.Count)
        {
            Vector<int> offset = Vector<int>.Indices + new Vector<int>(token);
            Vector<int> visible = Vector.GreaterThanOrEqual(offset, new Vector<int>(from)) & Vector.LessThan(offset, new Vector<int>(to));
            Vector.ConditionalSelect(visible, Vector.Load(scores + token), new Vector<float>(float.NegativeInfinity)).Store(scores + token);
        }
    }
}
