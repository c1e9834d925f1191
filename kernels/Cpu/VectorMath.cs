using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LlamaServe.Kernels.Cpu;

/// <summary>Elementary functions on vectors of the machine's natural width.</summary>
internal static class VectorMath
{
    /// <summary>Below it e^x is flushed to 0, so that no result is subnormal.</summary>
    private const float LowestExponent = -87.3f;
    private const float HighestExponent = 88.3f;

    /// <summary>1.5 · 2²³: adding it rounds to the nearest integer and leaves that integer in the low bits.</summary>
    private const float RoundingMagic = 12582912f;
    private const float Log2E = 1.442695041f;

    // ln 2 in two parts; the first has trailing zeros, so that its product with a small integer is exact.
    private const float Ln2High = 0.693359375f;
    private const float Ln2Low = -2.12194440e-4f;

    /// <summary>
    /// e^x within 2 units in the last place: 2ⁿ · e^r with |r| ≤ ln 2 / 2, e^r by its Taylor polynomial of degree 7 (remainder
    /// below 6e-9). 0 below −87.3, saturated above 88.3, NaN for NaN.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector<float> Exp(Vector<float> x)
    {
        Vector<float> clamped = Vector.MinNative(new Vector<float>(HighestExponent), Vector.MaxNative(new Vector<float>(LowestExponent), x));
        Vector<float> shifted = Vector.MultiplyAddEstimate(clamped, new Vector<float>(Log2E), new Vector<float>(RoundingMagic));
        Vector<float> n = shifted - new Vector<float>(RoundingMagic);
        Vector<float> r = Vector.MultiplyAddEstimate(n, new Vector<float>(-Ln2High), clamped);
        r = Vector.MultiplyAddEstimate(n, new Vector<float>(-Ln2Low), r);

        Vector<float> p = new(1f / 5040);
        p = Vector.MultiplyAddEstimate(p, r, new Vector<float>(1f / 720));
        p = Vector.MultiplyAddEstimate(p, r, new Vector<float>(1f / 120));
        p = Vector.MultiplyAddEstimate(p, r, new Vector<float>(1f / 24));
        p = Vector.MultiplyAddEstimate(p, r, new Vector<float>(1f / 6));
        p = Vector.MultiplyAddEstimate(p, r, new Vector<float>(1f / 2));
        p = Vector.MultiplyAddEstimate(p, r, Vector<float>.One);
        p = Vector.MultiplyAddEstimate(p, r, Vector<float>.One);

        Vector<int> power = (Vector.AsVectorInt32(shifted) << 23) + new Vector<int>(127 << 23);
        Vector<float> result = p * Vector.AsVectorSingle(power);
        return Vector.ConditionalSelect(Vector.LessThan(x, new Vector<float>(LowestExponent)), Vector<float>.Zero, result);
    }

    /// <summary>e^x for one value, with the same bits as a lane of the vector form.</summary>
    public static float Exp(float x) => Exp(new Vector<float>(x))[0];

    /// <summary>Largest lane; lanes must not be NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MaxLane(Vector<float> v)
    {
        Vector128<float> m = Vector<float>.Count switch
        {
            4 => v.AsVector128(),
            8 => Fold(v.AsVector256()),
            _ => Fold(Vector256.MaxNative(v.AsVector512().GetLower(), v.AsVector512().GetUpper())),
        };
        m = Vector128.MaxNative(m, Vector128.Shuffle(m, Vector128.Create(2, 3, 0, 1)));
        m = Vector128.MaxNative(m, Vector128.Shuffle(m, Vector128.Create(1, 0, 3, 2)));
        return m.ToScalar();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Fold(Vector256<float> v) => Vector128.MaxNative(v.GetLower(), v.GetUpper());
}
