namespace LlamaServe.Kernels.Cpu;

/// <summary>What a request changes about its logits before a token is chosen.</summary>
internal static class LogitEdits
{
    /// <summary>Marks a token of the prompt; lower bits count occurrences in the output.</summary>
    private const int InPrompt = 1 << 30;

    public static bool Any(in SamplingRow row) => !row.BiasIds.IsEmpty || !row.BannedIds.IsEmpty || HasPenalties(row);

    /// <summary>Bias and bans, then the penalties: repetition over prompt and output, frequency and presence over the output.</summary>
    /// <param name="counts">[vocabulary] zero on entry and on return.</param>
    public static void Apply(in SamplingRow row, Span<float> logits, Span<int> counts)
    {
        ReadOnlySpan<float> biases = row.BiasValues.Span;
        ReadOnlySpan<int> biased = row.BiasIds.Span;
        for (int i = 0; i < biased.Length; i++)
        {
            if ((uint)biased[i] < (uint)logits.Length)
            {
                logits[biased[i]] += biases[i];
            }
        }
        foreach (int id in row.BannedIds.Span)
        {
            if ((uint)id < (uint)logits.Length)
            {
                logits[id] = float.NegativeInfinity;
            }
        }
        if (HasPenalties(row))
        {
            Count(row.Tokens.Span, row.PromptLength, counts);
            Count(row.DraftTokens.Span, 0, counts);
            Penalize(row, row.Tokens.Span, logits, counts);
            Penalize(row, row.DraftTokens.Span, logits, counts);
        }
    }

    private static bool HasPenalties(in SamplingRow row) =>
        row.RepetitionPenalty != 1 || row.PresencePenalty != 0 || row.FrequencyPenalty != 0;

    private static void Count(ReadOnlySpan<int> tokens, int promptLength, Span<int> counts)
    {
        for (int i = 0; i < tokens.Length; i++)
        {
            int id = tokens[i];
            if ((uint)id < (uint)counts.Length)
            {
                counts[id] = i < promptLength ? counts[id] | InPrompt : counts[id] + 1;
            }
        }
    }

    /// <summary>Visits each distinct token once: its count is cleared at the first visit.</summary>
    private static void Penalize(in SamplingRow row, ReadOnlySpan<int> tokens, Span<float> logits, Span<int> counts)
    {
        foreach (int id in tokens)
        {
            if ((uint)id >= (uint)counts.Length || counts[id] == 0)
            {
                continue;
            }
            int occurrences = counts[id] & ~InPrompt;
            counts[id] = 0;
            float logit = logits[id];
            logit = logit > 0 ? logit / row.RepetitionPenalty : logit * row.RepetitionPenalty;
            logit -= occurrences * row.FrequencyPenalty;
            logits[id] = occurrences > 0 ? logit - row.PresencePenalty : logit;
        }
    }
}
