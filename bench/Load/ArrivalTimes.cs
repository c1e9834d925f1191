namespace LlamaServe.Bench.Load;

/// <summary>When conversations begin, in seconds from the start of the run.</summary>
internal static class ArrivalTimes
{
    /// <summary>
    /// Gaps drawn from a gamma distribution of mean 1/<paramref name="rate"/> whose shape is <paramref name="burstiness"/>: 1 is a
    /// Poisson process, less comes in bursts, more is even, infinity is a fixed rate.
    /// </summary>
    /// <param name="rate">Conversations a second; infinity: all at once.</param>
    public static double[] Draw(int count, double rate, double burstiness, Random random)
    {
        double[] times = new double[count];
        if (double.IsPositiveInfinity(rate))
        {
            return times;
        }

        double time = 0;
        for (int i = 0; i < count; i++)
        {
            time += double.IsPositiveInfinity(burstiness) ? 1 / rate : Gamma(burstiness, random) / (burstiness * rate);
            times[i] = time;
        }

        return times;
    }

    // Marsaglia and Tsang, "A simple method for generating gamma variables" (2000); shapes below 1 by their boost.
    private static double Gamma(double shape, Random random)
    {
        if (shape < 1)
        {
            return Gamma(shape + 1, random) * Math.Pow(1 - random.NextDouble(), 1 / shape);
        }

        double d = shape - 1.0 / 3, c = 1 / Math.Sqrt(9 * d);
        while (true)
        {
            double normal = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
            double root = 1 + c * normal, v = root * root * root;
            if (v > 0 && Math.Log(1 - random.NextDouble()) < 0.5 * normal * normal + d - d * v + d * Math.Log(v))
            {
                return d * v;
            }
        }
    }
}
