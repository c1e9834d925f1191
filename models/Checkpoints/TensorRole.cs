namespace LlamaServe.Models.Checkpoints;

/// <summary>What a tensor of a checkpoint is for; files differ only in what they call it.</summary>
internal enum TensorRole
{
    Embedding,
    OutputNorm,
    Output,
    AttentionNorm,
    Query,
    Key,
    Value,
    QueryBias,
    KeyBias,
    ValueBias,
    QueryNorm,
    KeyNorm,
    AttentionOutput,
    MlpNorm,
    Gate,
    Up,
    Down,

    /// <summary>Chooses experts: [experts, hidden].</summary>
    Router,

    /// <summary>One of each in every expert.</summary>
    ExpertGate,
    ExpertUp,
    ExpertDown,
}

internal static class TensorRoles
{
    /// <summary>Whether every expert has such a tensor.</summary>
    public static bool IsOfExpert(this TensorRole role) => role is TensorRole.ExpertGate or TensorRole.ExpertUp or TensorRole.ExpertDown;
}
