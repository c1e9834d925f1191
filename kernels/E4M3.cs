namespace LlamaServe.Kernels;

/// <summary>FP8 of four exponent and three mantissa bits, without infinities (arXiv:2209.05433).</summary>
internal static class E4M3
{
    private static readonly float[] Values = [.. Enumerable.Range(0, 256).Select(Value)];

    public static float Widen(byte bits) => Values[bits];

    private static float Value(int bits)
    {
        int exponent = bits >> 3 & 15, mantissa = bits & 7;
        float magnitude = (exponent, mantissa) switch
        {
            (15, 7) => float.NaN,
            (0, _) => MathF.ScaleB(mantissa, -9),
            _ => MathF.ScaleB(8 + mantissa, exponent - 10),
        };
        return bits < 128 ? magnitude : -magnitude;
    }
}
