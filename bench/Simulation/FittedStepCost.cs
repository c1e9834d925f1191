namespace LlamaServe.Bench.Simulation;

/// <summary>Seconds = a + b · tokens + c · sequences + d · attended tokens, none of them negative, fitted to measured steps.</summary>
internal sealed class FittedStepCost : IStepCost
{
    private const int Terms = 4;

    private readonly double[] _weights;

    private FittedStepCost(double[] weights) => _weights = weights;

    /// <summary>
    /// Least squares of the relative error, so that short steps count as much as long ones. A term that would be negative is left
    /// out and the others are fitted again.
    /// </summary>
    /// <exception cref="ArgumentException">Fewer steps than terms.</exception>
    public static FittedStepCost Fit(IReadOnlyList<MeasuredStep> steps)
    {
        if (steps.Count < Terms)
        {
            throw new ArgumentException($"{steps.Count} steps are too few to fit {Terms} terms");
        }

        bool[] isUsed = [true, true, true, true];
        while (true)
        {
            double[] weights = Solve(steps, isUsed);
            int lowest = Array.IndexOf(weights, weights.Min());
            if (weights[lowest] >= 0)
            {
                return new FittedStepCost(weights);
            }

            isUsed[lowest] = false;
        }
    }

    public double Seconds(in StepSize step)
    {
        double sum = 0;
        for (int term = 0; term < Terms; term++)
        {
            sum += _weights[term] * Value(step, term);
        }

        return sum;
    }

    private static double Value(in StepSize step, int term) => term switch { 0 => 1, 1 => step.Tokens, 2 => step.Sequences, _ => step.Attended };

    // Normal equations of the used terms, by Gauss and Jordan; a term that the others determine gets no weight.
    private static double[] Solve(IReadOnlyList<MeasuredStep> steps, bool[] isUsed)
    {
        double[,] m = new double[Terms, Terms + 1];
        foreach (MeasuredStep step in steps)
        {
            for (int i = 0; i < Terms; i++)
            {
                for (int j = 0; j < Terms; j++)
                {
                    m[i, j] += Value(step.Size, i) * Value(step.Size, j) / (step.Seconds * step.Seconds);
                }

                m[i, Terms] += Value(step.Size, i) / step.Seconds;
            }
        }

        for (int pivot = 0; pivot < Terms; pivot++)
        {
            bool isFree = isUsed[pivot] && m[pivot, pivot] > 1e-9 * Diagonal(steps, pivot);
            if (isFree)
            {
                Eliminate(m, pivot);
            }
            else
            {
                isUsed[pivot] = false;
                for (int i = 0; i < Terms; i++)
                {
                    m[i, pivot] = 0;
                }
            }
        }

        return [.. Enumerable.Range(0, Terms).Select(i => isUsed[i] ? m[i, Terms] / m[i, i] : 0)];
    }

    private static double Diagonal(IReadOnlyList<MeasuredStep> steps, int term) =>
        steps.Sum(step => Value(step.Size, term) * Value(step.Size, term) / (step.Seconds * step.Seconds));

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
