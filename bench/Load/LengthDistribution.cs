using System.Globalization;

namespace LlamaServe.Bench.Load;

/// <summary>Lengths in tokens: always the same, uniform in a range, or log-normal, as those of real conversations roughly are.</summary>
/// <param name="Low">Shortest; for a log-normal one 1.</param>
/// <param name="High">Longest.</param>
/// <param name="Median">Of a log-normal distribution; 0 for a uniform one.</param>
/// <param name="Sigma">Standard deviation of the logarithm.</param>
internal sealed record LengthDistribution(int Low, int High, double Median = 0, double Sigma = 0)
{
    private const int Longest = 1 << 24;

    /// <summary><c>128</c>, <c>100-200</c>, or <c>lognormal:200,0.8</c> (median, σ of the logarithm; at most 8 medians long).</summary>
    /// <exception cref="ArgumentException">The text is none of these.</exception>
    public static LengthDistribution Parse(string text)
    {
        if (text.StartsWith("lognormal:", StringComparison.Ordinal))
        {
            string[] parts = text["lognormal:".Length..].Split(',');
            return parts.Length == 2 && Number(parts[0]) is >= 1 and < Longest / 8 and var median && Number(parts[1]) is >= 0 and <= 4 and var sigma
                ? new LengthDistribution(1, (int)(8 * median), median, sigma)
                : throw Unreadable(text);
        }

        string[] ends = text.Split('-');
        return ends.Length <= 2 && Number(ends[0]) is >= 1 and var low && Number(ends[^1]) is <= Longest and var high && low <= high
            ? new LengthDistribution((int)low, (int)high)
            : throw Unreadable(text);
    }

    public int Draw(Random random)
    {
        if (Median == 0)
        {
            return random.Next(Low, High + 1);
        }

        double normal = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
        return (int)Math.Clamp(Math.Round(Median * Math.Exp(Sigma * normal)), Low, High);
    }

    /// <summary>As <see cref="Parse"/> reads it.</summary>
    public override string ToString() =>
        Median > 0 ? string.Create(CultureInfo.InvariantCulture, $"lognormal:{Median},{Sigma}") : Low == High ? $"{Low}" : $"{Low}-{High}";

    private static double Number(string text) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) ? value : double.NaN;

    private static ArgumentException Unreadable(string text) =>
        new($"\"{text}\" is no length: 128, 100-200 or lognormal:MEDIAN,SIGMA are.");
}
