namespace LlamaServe.Kernels.Tests;

/// <summary>The rules of choosing a token, with full sorts and in double precision.</summary>
internal static class ReferenceSampler
{
    /// <summary>Bias, bans, then penalties.</summary>
    public static double[] Edit(double[] logits, in SamplingRow row)
    {
        double[] y = [.. logits];
        for (int i = 0; i < row.BiasIds.Length; i++)
        {
            y[row.BiasIds.Span[i]] += row.BiasValues.Span[i];
        }
        foreach (int id in row.BannedIds.Span)
        {
            y[id] = double.NegativeInfinity;
        }
        int[] tokens = row.Tokens.ToArray(), output = tokens[row.PromptLength..];
        foreach (int id in tokens.Distinct())
        {
            int count = output.Count(other => other == id);
            y[id] = y[id] > 0 ? y[id] / row.RepetitionPenalty : y[id] * row.RepetitionPenalty;
            y[id] -= count * row.FrequencyPenalty + (count > 0 ? row.PresencePenalty : 0);
        }
        return y;
    }

    /// <summary>Ids that can be chosen with their probabilities, most likely first, equal ones by id.</summary>
    public static (int Id, double Probability)[] Distribution(double[] logits, in SamplingRow row)
    {
        float temperature = row.Temperature, minP = row.MinP;
        double max = logits.Max();
        (int Id, double Weight)[] sorted = [.. logits.Select((logit, id) => (id, Weight: Math.Exp((logit - max) / temperature)))
            .Where(token => token.Weight > 0 && token.Weight >= minP).OrderByDescending(token => token.Weight).ThenBy(token => token.id)];
        sorted = row.TopK > 0 ? [.. sorted.Take(row.TopK)] : sorted;
        if (row.TopP < 1)
        {
            double reach = row.TopP * sorted.Sum(token => token.Weight), sum = 0;
            int count = 0;
            do
            {
                sum += sorted[count++].Weight;
            }
            while (sum < reach && count < sorted.Length);
            sorted = sorted[..count];
        }
        double total = sorted.Sum(token => token.Weight);
        return [.. sorted.Select(token => (token.Id, token.Weight / total))];
    }
}
