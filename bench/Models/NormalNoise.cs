namespace LlamaServe.Bench.Models;

/// <summary>
/// Normal deviates addressed by seed and stream, so that rows made on different threads are the same numbers in any
/// order. SplitMix64 (Steele, Lea, Flood 2014) feeds the Box-Muller transform.
/// </summary>
internal static class NormalNoise
{
    private const float UnitStep = 1f / (1 << 24);
    private const ulong Golden = 0x9E3779B97F4A7C15;

    /// <summary>Fills <paramref name="row"/> with N(0, <paramref name="deviation"/>²).</summary>
    public static void Fill(Span<float> row, ulong seed, ulong stream, float deviation)
    {
        ulong state = Mix(Mix(seed) + stream);
        for (int i = 0; i < row.Length; i += 2)
        {
            ulong bits = Mix(state += Golden);
            float radius = deviation * MathF.Sqrt(-2 * MathF.Log(((uint)(bits >> 40) + 1) * UnitStep));
            (float sine, float cosine) = MathF.SinCos((uint)(bits & 0xFFFFFF) * (MathF.Tau * UnitStep));
            row[i] = radius * cosine;
            if (i + 1 < row.Length)
            {
                row[i + 1] = radius * sine;
            }
        }
    }

    private static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }
}
