namespace LlamaServe.Engine.Scheduling;

/// <summary>Tokens and rows that a step has left for sequences with more than one token to compute.</summary>
internal struct PrefillBudget
{
    /// <summary>Tokens left, once each decoding sequence has its own.</summary>
    public int Tokens;

    /// <summary>Prompt positions that may still be scored.</summary>
    public int ScoringRows;

    /// <summary>What a step over these sequences leaves: the token budget, or less where the time target asks for it.</summary>
    public static PrefillBudget Of(SchedulerOptions options, RunningSet running, StepCostModel costs)
    {
        int decoding = 0;
        double attended = 0;
        double context = 0;
        foreach (Sequence sequence in running)
        {
            if (sequence.Outstanding == 1 && !sequence.IsPaused)
            {
                decoding++;
                attended += sequence.KnownCount;
            }
            else if (context == 0)
            {
                context = sequence.ComputedCount;
            }
        }
        int tokens = options.TokenBudget - decoding;
        if (decoding > 0 && options.StepTimeTarget > 0 && costs.IsReady)
        {
            int inTime = costs.TokensWithin(options.StepTimeTarget, decoding, attended, context);
            tokens = Math.Min(tokens, Math.Max(inTime, options.MinPrefillTokens));
        }
        return new PrefillBudget { Tokens = tokens, ScoringRows = options.PromptLogProbRows };
    }

    /// <summary>
    /// How many of <paramref name="count"/> tokens of a prompt that is being scored may be computed: those that were scored
    /// before, and as many more as there are rows.
    /// </summary>
    /// <param name="logitsFrom">Index of the first token whose logits are wanted.</param>
    public int TakeScoring(Sequence sequence, int count, out int logitsFrom)
    {
        int unscored = sequence.ScoredCount - sequence.ComputedCount;
        int toScore = sequence.PromptLength - 1 - sequence.ScoredCount;
        int rows = Math.Min(ScoringRows, toScore);
        count = Math.Min(count, unscored + rows + (rows == toScore ? 1 : 0));
        logitsFrom = Math.Min(unscored, count);
        ScoringRows -= Math.Min(rows, count - logitsFrom);
        return count;
    }
}
