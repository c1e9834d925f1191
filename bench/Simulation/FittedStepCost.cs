namespace LlamaServe.Bench.Simulation;

/// <summary>
/// Seconds = a + b · tokens + c · sequences + d · attended while decoding + e · attended in prompts, none of them negative, fitted to
/// measured steps.
/// </summary>
internal sealed class FittedStepCost : IStepCost
{
    private const int Terms = 5;

    /// <summary>Fits after the first one, each weighted by what the one before it expects.</summary>
    private const int Refinements = 5;

    private readonly double[] _seconds;

    /// <param name="seconds">[5], as <see cref="Weights"/>.</param>
    /// <exception cref="ArgumentException">There are not five, or one is negative.</exception>
    public FittedStepCost(IEnumerable<double> seconds)
    {
        _seconds = [.. seconds];
        if (_seconds.Length != Terms || _seconds.Any(value => value is not (>= 0 and < double.PositiveInfinity)) || _seconds.Sum() == 0)
        {
            throw new ArgumentException($"a step's cost has {Terms} terms, none negative and not all 0");
        }
    }

    /// <summary>[a, b, c, d, e] seconds.</summary>
    public IReadOnlyList<double> Weights => _seconds;

    /// <summary>
    /// Least squares of the error relative to the expected time, so that short steps count as much as long ones and a step that was
    /// disturbed does not count less for being long: the sum of many expected times is right. A term that would be negative is left
    /// out and the others are fitted again.
    /// </summary>
    /// <exception cref="ArgumentException">Fewer steps than terms.</exception>
    public static FittedStepCost Fit(IReadOnlyList<MeasuredStep> steps)
    {
        if (steps.Count < Terms)
        {
            throw new ArgumentException($"{steps.Count} steps are too few to fit {Terms} terms");
        }

        double mean = steps.Average(step => step.Seconds);
        FittedStepCost fitted = FitWeighted(steps, step => step.Seconds);
        for (int i = 0; i < Refinements; i++)
        {
            FittedStepCost last = fitted;
            // What hardly costs anything by the last fit must not outweigh all others.
            fitted = FitWeighted(steps, step => Math.Max(last.Seconds(step.Size), 0.01 * mean));
        }

        return fitted;
    }

    public double Seconds(in StepSize step)
    {
        double sum = 0;
        for (int term = 0; term < Terms; term++)
        {
            sum += _seconds[term] * Value(step, term);
        }

        return sum;
    }

    private static FittedStepCost FitWeighted(IReadOnlyList<MeasuredStep> steps, Func<MeasuredStep, double> expected)
    {
        double[] weights = [.. steps.Select(step => 1 / (expected(step) * expected(step)))];
        bool[] isUsed = [.. Enumerable.Repeat(true, Terms)];
        while (true)
        {
            double[] seconds = Solve(steps, weights, isUsed);
            int lowest = Array.IndexOf(seconds, seconds.Min());
            if (seconds[lowest] >= 0)
            {
                return new FittedStepCost(seconds);
            }

            isUsed[lowest] = false;
        }
    }

    private static double Value(in StepSize step, int term) => term switch
    {
        0 => 1,
        1 => step.Tokens,
        2 => step.Sequences,
        3 => step.DecodeAttended,
        _ => step.PrefillAttended,
    };

    // Normal equations of the used terms, by Gauss and Jordan; a term that the others determine gets no weight.
    private static double[] Solve(IReadOnlyList<MeasuredStep> steps, double[] weights, bool[] isUsed)
    {
        double[,] m = new double[Terms, Terms + 1];
        for (int s = 0; s < steps.Count; s++)
        {
            for (int i = 0; i < Terms; i++)
            {
                double weighted = weights[s] * Value(steps[s].Size, i);
                for (int j = 0; j < Terms; j++)
                {
                    m[i, j] += weighted * Value(steps[s].Size, j);
                }

                m[i, Terms] += weighted * steps[s].Seconds;
            }
        }

        double[] diagonal = [.. Enumerable.Range(0, Terms).Select(i => m[i, i])];
        bool[] isSolved = new bool[Terms];
        for (int pivot = 0; pivot < Terms; pivot++)
        {
            isSolved[pivot] = isUsed[pivot] && m[pivot, pivot] > 1e-9 * diagonal[pivot];
            if (isSolved[pivot])
            {
                Eliminate(m, pivot);
            }
            else
            {
                for (int i = 0; i < Terms; i++)
                {
                    m[i, pivot] = 0;
                }
            }
        }

        return [.. Enumerable.Range(0, Terms).Select(i => isSolved[i] ? m[i, Terms] / m[i, i] : 0)];
    }

    private static void Eliminate(double[,] m, int pivot)
    {
        for (int i = 0; i < Terms; i++)
        {
            double factor = m[i, pivot] / m[pivot, pivot];
            for (int j = 0; i != pivot && j <= Terms; j++)
            {
                m[i, j] -= factor * m[pivot, j];
            }
        }
    }
}
