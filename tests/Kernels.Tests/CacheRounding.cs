namespace LlamaServe.Kernels.Tests;

/// <summary>
/// What a KV cache keeps of a head's elements. Types of 8 bits: the largest magnitude over the type's largest is the scale, and
/// elements are rounded to nearest, ties to even, in F32 as the kernels do it.
/// </summary>
internal static class CacheRounding
{
    private const float SmallestScale = 5.4210109e-20f; // 2^-64

    /// <summary>The elements as they are read back; of the other types, as they are.</summary>
    public static double[] Of(DType type, double[] head)
    {
        if (type.ScaleSize() == 0)
        {
            return head;
        }
        (byte[] bytes, float scale) = Quantize(type, Array.ConvertAll(head, value => (float)value));
        return Dequantize(type, bytes, scale);
    }

    public static double[] Dequantize(DType type, byte[] bytes, double scale) =>
        Array.ConvertAll(bytes, value => (type == DType.Fp8 ? FromE4m3(value) : value - 128) * scale);

    /// <summary>The bytes in the cache, and the scale.</summary>
    public static (byte[] Bytes, float Scale) Quantize(DType type, float[] head)
    {
        float largest = type == DType.Fp8 ? 448 : 127;
        float scale = Math.Max(head.Max(MathF.Abs) * (1 / largest), SmallestScale), inverse = 1 / scale;
        return (Array.ConvertAll(head, value => type == DType.Fp8 ? ToE4m3(value * inverse) : (byte)(128 + MathF.Round(value * inverse))), scale);
    }

    private static double FromE4m3(byte value)
    {
        int exponent = value >> 3 & 15, mantissa = value & 7;
        double magnitude = exponent == 0 ? Math.ScaleB(mantissa, -9) : Math.ScaleB(8 + mantissa, exponent - 10);
        return (value & 0x80) != 0 ? -magnitude : magnitude;
    }

    private static byte ToE4m3(float value)
    {
        float magnitude = Math.Min(Math.Abs(value), 448);
        int exponent = magnitude < 0.015625f ? -6 : Math.ILogB(magnitude);
        int steps = (int)Math.Round(Math.ScaleB(magnitude, 3 - exponent));
        return (byte)((float.IsNegative(value) ? 0x80 : 0) | ((exponent + 6) * 8 + steps));
    }
}
