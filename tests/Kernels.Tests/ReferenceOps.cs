namespace LlamaServe.Kernels.Tests;

/// <summary>The operations in double precision, as their definitions read.</summary>
internal static class ReferenceOps
{
    public static double[] RmsNorm(double[] x, double[] gain, double epsilon)
    {
        int columns = gain.Length;
        double[] y = new double[x.Length];
        for (int row = 0; row < x.Length; row += columns)
        {
            double squares = 0;
            for (int i = 0; i < columns; i++)
            {
                squares += x[row + i] * x[row + i];
            }
            for (int i = 0; i < columns; i++)
            {
                y[row + i] = x[row + i] / Math.Sqrt(squares / columns + epsilon) * gain[i];
            }
        }
        return y;
    }

    /// <summary>[rows, n] = x [rows, k] · weight [n, k]ᵀ + bias + residual.</summary>
    public static double[] Linear(double[] x, double[] weight, int columns, double[]? bias, double[]? residual)
    {
        int rows = x.Length / columns, features = weight.Length / columns;
        double[] y = new double[rows * features];
        for (int row = 0; row < rows; row++)
        {
            for (int n = 0; n < features; n++)
            {
                double sum = (bias?[n] ?? 0) + (residual?[row * features + n] ?? 0);
                for (int k = 0; k < columns; k++)
                {
                    sum += x[row * columns + k] * weight[n * columns + k];
                }
                y[row * features + n] = sum;
            }
        }
        return y;
    }

    public static double[] GatedActivation(double[] gateUp, int columns)
    {
        int half = columns / 2;
        double[] y = new double[gateUp.Length / 2];
        for (int i = 0; i < y.Length; i++)
        {
            (int row, int column) = Math.DivRem(i, half);
            double gate = gateUp[row * columns + column], up = gateUp[row * columns + half + column];
            y[i] = gate / (1 + Math.Exp(-gate)) * up;
        }
        return y;
    }

    /// <summary>The experts of one token, the largest logit first, of equal ones the lower id, and their weights.</summary>
    public static (int Expert, double Weight)[] Route(double[] logits, int expertsPerToken, bool renormalize)
    {
        double[] weights = Array.ConvertAll(LogSoftmax(logits), Math.Exp);
        int[] chosen = [.. Enumerable.Range(0, logits.Length).OrderByDescending(expert => logits[expert]).ThenBy(expert => expert).Take(expertsPerToken)];
        double sum = renormalize ? chosen.Sum(expert => weights[expert]) : 1;
        return [.. chosen.Select(expert => (expert, weights[expert] / sum))];
    }

    /// <summary>One head, rotated to a position.</summary>
    public static double[] Rotate(double[] head, int position, RopeParameters rope)
    {
        double[] y = new double[head.Length];
        for (int i = 0; i < head.Length / 2; i++)
        {
            (int a, int b) = rope.Style == RopeStyle.Interleaved ? (2 * i, 2 * i + 1) : (i, i + head.Length / 2);
            double angle = position * rope.InverseFrequencies[i];
            y[a] = head[a] * Math.Cos(angle) - head[b] * Math.Sin(angle);
            y[b] = head[a] * Math.Sin(angle) + head[b] * Math.Cos(angle);
        }
        return y;
    }

    /// <summary>One query against the keys and values [positions][headDim] of its own and earlier positions.</summary>
    public static double[] Attention(double[] query, IReadOnlyList<double[]> keys, IReadOnlyList<double[]> values, int position, AttentionShape shape)
    {
        int first = shape.SlidingWindow == 0 ? 0 : Math.Max(0, position - shape.SlidingWindow + 1);
        double[] scores = new double[position + 1];
        double max = double.NegativeInfinity;
        for (int t = first; t <= position; t++)
        {
            for (int d = 0; d < query.Length; d++)
            {
                scores[t] += query[d] * keys[t][d] * shape.Scale;
            }
            max = Math.Max(max, scores[t]);
        }
        double sum = 0;
        double[] y = new double[query.Length];
        for (int t = first; t <= position; t++)
        {
            double weight = Math.Exp(scores[t] - max);
            sum += weight;
            for (int d = 0; d < y.Length; d++)
            {
                y[d] += weight * values[t][d];
            }
        }
        return Array.ConvertAll(y, value => value / sum);
    }

    /// <summary>Natural logarithms of the softmax.</summary>
    public static double[] LogSoftmax(double[] logits)
    {
        double max = logits.Max();
        double logSum = Math.Log(logits.Sum(logit => Math.Exp(logit - max)));
        return Array.ConvertAll(logits, logit => logit - max - logSum);
    }
}
