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
}
