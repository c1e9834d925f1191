namespace LlamaServe.Kernels.Tests.Cuda.MatMul;

/// <summary>FP8 e4m3 by its definition: 2^(exponent − 7) · 1.mantissa, below 2⁻⁶ in steps of 2⁻⁹; up to ±448, 0x7F is no number.</summary>
internal static class Fp8Values
{
    private static readonly double[] Positive = [.. Enumerable.Range(0, 127).Select(bits => ToDouble((byte)bits))];

    public static double ToDouble(byte bits)
    {
        int exponent = bits >> 3 & 15, mantissa = bits & 7;
        double magnitude = (bits & 127) == 127 ? double.NaN
            : exponent == 0 ? Math.ScaleB(mantissa, -9) : Math.ScaleB(8 + mantissa, exponent - 10);
        return bits >= 128 ? -magnitude : magnitude;
    }

    /// <summary>The nearest value's bits, of two the even ones.</summary>
    public static byte FromDouble(double value)
    {
        double magnitude = Math.Abs(value);
        int best = 0;
        for (int bits = 1; bits < Positive.Length; bits++)
        {
            double distance = Math.Abs(Positive[bits] - magnitude), shortest = Math.Abs(Positive[best] - magnitude);
            best = distance < shortest || (distance == shortest && bits % 2 == 0) ? bits : best;
        }
        return (byte)(value < 0 ? best | 128 : best);
    }
}
