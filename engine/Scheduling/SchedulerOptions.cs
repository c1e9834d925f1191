namespace LlamaServe.Engine.Scheduling;

/// <summary>The scheduler's limits; see <see cref="EngineOptions"/> for their meaning.</summary>
/// <param name="TokenBudget">Most tokens of a step.</param>
/// <param name="MaxSequences">Most running sequences; at most <paramref name="TokenBudget"/>.</param>
/// <param name="MinPrefillTokens">Prefill tokens that may always join.</param>
/// <param name="PromptLogProbRows">Most prompt positions scored in a step.</param>
/// <param name="StepTimeTarget">Seconds that a step with decoding sequences should take; 0 for no target.</param>
/// <param name="AgingInterval">Time, in units of the clock given to the scheduler, that raises a waiting level by one.</param>
internal sealed record SchedulerOptions(
    int TokenBudget,
    int MaxSequences,
    int MinPrefillTokens = 32,
    int PromptLogProbRows = 64,
    double StepTimeTarget = 0,
    long AgingInterval = long.MaxValue);
