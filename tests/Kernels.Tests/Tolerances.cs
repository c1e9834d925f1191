namespace LlamaServe.Kernels.Tests;

/// <summary>
/// Largest normalised mean square error Σ(x − reference)² / Σ reference² that an operation may show, by what limits its
/// precision.
/// </summary>
internal static class Tolerances
{
    /// <summary>F32 arithmetic: a few units in the last place of a sum.</summary>
    public const double F32 = 1e-12;

    /// <summary>Keys and values rounded to BF16 (2⁻⁹ relative each).</summary>
    public const double BF16 = 2e-5;

    /// <summary>Activations rounded to INT8 by blocks of 32.</summary>
    public const double Int8 = 2e-4;

    /// <summary>
    /// Products by tensor cores on a kind of device: the emulated one sums in F32, a GPU's cut low bits off at each instruction, and keep
    /// some 14 of an FP8 sum.
    /// </summary>
    public static double TensorCores(string kind, WeightFormat format = WeightFormat.BF16) =>
        kind != Cuda.TestDevice.Gpu ? F32 : format == WeightFormat.Fp8 ? 1e-6 : 1e-10;

    /// <summary>What a matrix of the format may add: floating-point weights meet activations of their own precision.</summary>
    public static double Of(WeightFormat format) => format switch
    {
        WeightFormat.F32 or WeightFormat.F16 => F32,
        WeightFormat.BF16 => BF16,
        _ => Int8,
    };

    public static double Of(DType type) => type == DType.F32 ? F32 : BF16;

    public static double NormalizedMeanSquareError(ReadOnlySpan<float> actual, ReadOnlySpan<double> expected)
    {
        Assert.That(actual.Length, Is.EqualTo(expected.Length));
        double error = 0, power = 0;
        for (int i = 0; i < actual.Length; i++)
        {
            error += (actual[i] - expected[i]) * (actual[i] - expected[i]);
            power += expected[i] * expected[i];
        }
        return power == 0 ? error : error / power;
    }
}
