using System.Numerics;
using System.Runtime.CompilerServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>Searches over a row of logits.</summary>
internal static class LogitScan
{
    /// <summary>The largest value; false where there is a NaN, an infinite largest value, or nothing but −∞.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool TryMax(ReadOnlySpan<float> logits, out float max)
    {
        Vector<float> largest = new(float.NegativeInfinity);
        Vector<int> ordered = Vector<int>.AllBitsSet;
        int lanes = Vector<float>.Count;
        int i = 0;
        for (; i <= logits.Length - lanes; i += lanes)
        {
            Vector<float> v = new(logits[i..]);
            largest = Vector.MaxNative(largest, v);
            ordered &= Vector.Equals(v, v);
        }
        max = VectorMath.MaxLane(largest);
        bool isOrdered = Vector.EqualsAll(ordered, Vector<int>.AllBitsSet);
        for (; i < logits.Length; i++)
        {
            max = MathF.Max(max, logits[i]);
        }
        return isOrdered && float.IsFinite(max);
    }

    /// <summary>Index of the first element equal to <paramref name="value"/>, which is there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int FirstEqual(ReadOnlySpan<float> logits, float value)
    {
        Vector<float> wanted = new(value);
        int lanes = Vector<float>.Count;
        int i = 0;
        while (i <= logits.Length - lanes && !Vector.EqualsAny(new Vector<float>(logits[i..]), wanted))
        {
            i += lanes;
        }
        while (logits[i] != value)
        {
            i++;
        }
        return i;
    }

    /// <summary>ln Σ e^(logit − max), summed in double precision.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double LogSumExp(ReadOnlySpan<float> logits, float max)
    {
        Vector<double> low = default, high = default;
        Vector<float> shift = new(max);
        int lanes = Vector<float>.Count;
        int i = 0;
        for (; i <= logits.Length - lanes; i += lanes)
        {
            Vector<float> e = VectorMath.Exp(new Vector<float>(logits[i..]) - shift);
            low += Vector.WidenLower(e);
            high += Vector.WidenUpper(e);
        }
        double sum = Vector.Sum(low + high);
        for (; i < logits.Length; i++)
        {
            sum += VectorMath.Exp(logits[i] - max);
        }
        return Math.Log(sum);
    }

    /// <summary>The largest logits in descending order, equal ones by id; ids are −1 past the last finite one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Largest(ReadOnlySpan<float> logits, Span<int> ids, Span<float> values)
    {
        ids.Fill(-1);
        values.Fill(float.NegativeInfinity);
        int lanes = Vector<float>.Count;
        for (int i = 0; i < logits.Length; i += lanes)
        {
            int end = Math.Min(i + lanes, logits.Length);
            if (end - i == lanes && !Vector.GreaterThanAny(new Vector<float>(logits[i..]), new Vector<float>(values[^1])))
            {
                continue;
            }
            for (int id = i; id < end; id++)
            {
                if (logits[id] > values[^1])
                {
                    Insert(id, logits[id], ids, values);
                }
            }
        }
    }

    private static void Insert(int id, float value, Span<int> ids, Span<float> values)
    {
        int place = values.Length - 1;
        for (; place > 0 && value > values[place - 1]; place--)
        {
            values[place] = values[place - 1];
            ids[place] = ids[place - 1];
        }
        values[place] = value;
        ids[place] = id;
    }
}
