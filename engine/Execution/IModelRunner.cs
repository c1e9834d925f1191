using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Text;
using LlamaServe.Kernels;

namespace LlamaServe.Engine.Execution;

/// <summary>Computes steps. Owns the model, its KV cache and the results; used by one thread.</summary>
internal interface IModelRunner : IDisposable
{
    RunnerCapacity Capacity { get; }

    /// <summary>
    /// Whether a second step can be submitted while the first is under way. Its sequences' pending tokens, ~row, are those that
    /// the first chooses.
    /// </summary>
    bool Overlaps => false;

    /// <summary>
    /// Starts a step: makes the plan's swaps, then its copies, which leave their lists once made, computes its tokens and chooses a token for each
    /// row of logits: slices in order, within a slice by position. Prompt positions are scored, a slice's last known token is
    /// sampled. Nothing is under way when it throws.
    /// </summary>
    void Submit(StepPlan plan);

    /// <summary>Waits for the oldest step under way, which is over even when this throws.</summary>
    /// <returns>One row for each wanted row of logits; valid until two more steps are submitted, or one where they do not overlap.</returns>
    SamplingBatch Complete();

    /// <summary>A decoder for one sample's text.</summary>
    ITextDecoder CreateTextDecoder();
}

/// <summary>What a runner can hold.</summary>
/// <param name="VocabularySize">Ids are 0 to VocabularySize − 1.</param>
/// <param name="ContextLength">Most tokens of a sequence.</param>
/// <param name="Blocks">Physical KV blocks.</param>
/// <param name="EndTokenIds">Ids that end a text by default.</param>
/// <param name="HostBlocks">KV blocks in host memory besides.</param>
internal sealed record RunnerCapacity(int VocabularySize, int ContextLength, int Blocks, IReadOnlyList<int> EndTokenIds, int HostBlocks = 0);
