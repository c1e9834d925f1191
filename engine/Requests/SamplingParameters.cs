namespace LlamaServe.Engine.Requests;

/// <summary>How tokens are chosen. Fields mean what they mean in <see cref="Kernels.SamplingRow"/>.</summary>
public sealed record SamplingParameters
{
    /// <summary>Greedy: the most likely token each time.</summary>
    public static SamplingParameters Greedy { get; } = new() { Temperature = 0 };

    /// <summary>0 (greedy) to 100.</summary>
    public float Temperature { get; init; } = 1;

    /// <summary>0 for all, else 1 to the vocabulary's size.</summary>
    public int TopK { get; init; }

    /// <summary>Above 0, at most 1.</summary>
    public float TopP { get; init; } = 1;

    /// <summary>0 to 1.</summary>
    public float MinP { get; init; }

    /// <summary>Above 0, at most 10; 1 for none.</summary>
    public float RepetitionPenalty { get; init; } = 1;

    /// <summary>−2 to 2.</summary>
    public float PresencePenalty { get; init; }

    /// <summary>−2 to 2.</summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>Added to single logits: vocabulary id → bias within ±100.</summary>
    public IReadOnlyDictionary<int, float>? LogitBias { get; init; }

    /// <summary>Same seed and same request give the same tokens; null lets the engine draw one, which it reports.</summary>
    public ulong? Seed { get; init; }
}
