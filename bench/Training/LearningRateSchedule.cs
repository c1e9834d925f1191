namespace LlamaServe.Bench.Training;

/// <summary>Warmup, a plateau of open length, then a linear cooldown to zero (Hu et al. 2024, arXiv:2404.06395).</summary>
internal sealed class LearningRateSchedule(int warmupSteps, int cooldownStart, int cooldownSteps)
{
    /// <summary>First step of the cooldown.</summary>
    public int CooldownStart { get; private set; } = cooldownStart;

    /// <summary>Ends the plateau at <paramref name="step"/>, unless it has ended before.</summary>
    public void CoolDownFrom(int step) => CooldownStart = Math.Min(CooldownStart, step);

    public bool IsOver(int step) => step >= CooldownStart + cooldownSteps;

    /// <summary>The factor of the peak learning rate at <paramref name="step"/>, in (0, 1].</summary>
    public float Factor(int step)
    {
        float warmup = Math.Min(1f, (step + 1f) / warmupSteps);
        float cooldown = Math.Min(1f, (CooldownStart + cooldownSteps - step) / (float)cooldownSteps);
        return Math.Min(warmup, cooldown);
    }
}
