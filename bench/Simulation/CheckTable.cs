using System.Globalization;
using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Simulation;

/// <summary>Runs beside their simulations, for people.</summary>
internal static class CheckTable
{
    public static void Write(IEnumerable<SimulationCheck> checks, TextWriter output)
    {
        foreach (SimulationCheck check in checks)
        {
            string others = check.OthersShare is { } share ? string.Create(CultureInfo.InvariantCulture, $"; other processes had {share:P0} of the processors") : "";
            output.WriteLine($"round {check.Round}, {check.Load}{others}");
            Line("output tokens/s", check, figures => figures.OutputTokensPerSecond);
            Line("mean time to first token, s", check, figures => figures.MeanTimeToFirstToken);
            Line("mean time between tokens, s", check, figures => figures.MeanInterTokenLatency);
        }

        void Line(string name, SimulationCheck check, Func<ServingFigures, double> value) => output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"  {name,-30} measured {value(check.Measured),10:G5}  predicted {value(check.Predicted),10:G5}  ratio {value(check.Ratio):F3}  by its own steps {value(check.ExplainedRatio):F3}"));
    }

    /// <summary>The median ratio of each figure, by load.</summary>
    public static void WriteMedians(IEnumerable<SimulationCheck> checks, TextWriter output)
    {
        foreach (IGrouping<string, SimulationCheck> load in checks.GroupBy(check => check.Load))
        {
            Line("predicted / measured", load.Select(check => check.Ratio));
            Line("by its own steps / measured", load.Select(check => check.ExplainedRatio));

            void Line(string name, IEnumerable<ServingFigures> ratios) => output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{load.Key}, median of {load.Count()}, {name}: tokens/s {Median(ratios, ratio => ratio.OutputTokensPerSecond):F3}, time to first token {Median(ratios, ratio => ratio.MeanTimeToFirstToken):F3}, between tokens {Median(ratios, ratio => ratio.MeanInterTokenLatency):F3}"));
        }

        static double Median(IEnumerable<ServingFigures> ratios, Func<ServingFigures, double> value) => new Distribution(ratios.Select(value)).Median;
    }

    /// <summary>Names each median of predicted over measured that is off by more.</summary>
    /// <param name="tolerance">Largest distance from 1.</param>
    /// <returns>Whether there is one.</returns>
    public static bool WriteMissed(IEnumerable<SimulationCheck> checks, double tolerance, TextWriter output)
    {
        MedianRatio[] missed = [.. MedianRatio.Of(checks).Where(ratio => !ratio.IsWithin(tolerance))];
        foreach (MedianRatio ratio in missed)
        {
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"missed: {ratio.Load}, {ratio.Figure}: predicted / measured is {ratio.Value:F3}, off by more than {tolerance:P0}"));
        }

        return missed.Length > 0;
    }
}
