namespace LlamaServe.Engine;

/// <summary>
/// Decides who owns the engine's state when a step hangs: the loop that is in it or the watchdog that gives up on it. Exactly
/// one of <see cref="TryEnd"/> and <see cref="TryAbandon"/> succeeds for a step.
/// </summary>
internal sealed class StepWatch
{
    private const int Outside = 0;
    private const int Inside = 1;
    private const int Abandoned = 2;

    private int _state;
    private long _since;

    /// <summary>The loop enters the model.</summary>
    public void Begin(long now)
    {
        Volatile.Write(ref _since, now);
        Volatile.Write(ref _state, Inside);
    }

    /// <summary>The loop is back; false when it has been given up and must not touch anything.</summary>
    public bool TryEnd() => Interlocked.CompareExchange(ref _state, Outside, Inside) == Inside;

    /// <summary>Gives the loop up if it has been in the model since before <paramref name="limit"/>; true for one caller only.</summary>
    public bool TryAbandon(long limit) =>
        Volatile.Read(ref _since) < limit && Interlocked.CompareExchange(ref _state, Abandoned, Inside) == Inside;
}
