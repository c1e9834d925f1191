namespace LlamaServe.Models.Tests.Decoders;

/// <summary>Normalised mean square error, Σ(a − e)² / Σe², and how much of it a decoder may have.</summary>
internal static class NormalisedError
{
    /// <summary>F32 weights: rounding of float sums only.</summary>
    public const double F32 = 1e-10;

    /// <summary>
    /// BF16 weights, exact in the reference, whose products may be taken with activations rounded to BF16 too: (2⁻⁹)² / 3 a
    /// product, twelve products deep, amplified by the random models' peaked attention. Or keys and values kept as BF16.
    /// </summary>
    public const double BF16 = 1e-3;

    /// <summary>Q8_0 weights, exact in the reference, with activations rounded to INT8 in blocks of 32.</summary>
    public const double Int8 = 1e-2;

    public static double Of(ReadOnlySpan<float> actual, ReadOnlySpan<double> expected)
    {
        double error = 0, power = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            error += (actual[i] - expected[i]) * (actual[i] - expected[i]);
            power += expected[i] * expected[i];
        }
        return error / power;
    }
}
