namespace LlamaServe.Models.Configuration;

/// <summary>Inverse frequencies of rotary position embedding, with the scaling schemes that stretch a context.</summary>
internal static class RotaryFrequencies
{
    /// <summary>θ^(−2i/d) for each pair i of a head (arXiv:2104.09864).</summary>
    public static double[] Base(int headDim, double theta)
    {
        double[] frequencies = new double[headDim / 2];
        for (int i = 0; i < frequencies.Length; i++)
        {
            frequencies[i] = Math.Pow(theta, -2.0 * i / headDim);
        }
        return frequencies;
    }

    /// <summary>Position interpolation (arXiv:2306.15595): every frequency divided by the factor.</summary>
    public static double[] Linear(double[] frequencies, double factor) => Array.ConvertAll(frequencies, f => f / factor);

    /// <summary>Each frequency divided by its own factor (GGUF's rope_freqs.weight).</summary>
    public static double[] PerPair(double[] frequencies, ReadOnlySpan<float> factors)
    {
        double[] scaled = new double[frequencies.Length];
        for (int i = 0; i < scaled.Length; i++)
        {
            scaled[i] = frequencies[i] / factors[i];
        }
        return scaled;
    }

    /// <summary>
    /// Llama 3.1 (arXiv:2407.21783): wavelengths that fit the original context high/low times are kept, long ones
    /// divided by the factor, those between interpolated.
    /// </summary>
    /// <param name="originalContext">Tokens of the context that the model was first trained with.</param>
    public static double[] Llama3(double[] frequencies, double factor, double low, double high, double originalContext) =>
        Array.ConvertAll(frequencies, frequency =>
        {
            double turns = originalContext * frequency / (2 * Math.PI);
            double kept = Math.Clamp((turns - low) / (high - low), 0, 1);
            return frequency * (kept + (1 - kept) / factor);
        });
}
