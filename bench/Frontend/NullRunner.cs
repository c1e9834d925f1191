using LlamaServe.Engine.Execution;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Text;
using LlamaServe.Kernels;
using LlamaServe.Models.Tokenization;

namespace LlamaServe.Bench.Frontend;

/// <summary>
/// A device that computes nothing: every step is done at once, and the next token is made up. What is left to measure is all
/// that is not the model: scheduling, text, streams.
/// </summary>
/// <param name="onStep">Called in every step, to take the time that a device would; null: none.</param>
internal sealed class NullRunner(
    Tokenizer tokenizer, int contextLength, int maxRows, int kvTokens = 1 << 22, Action<StepPlan>? onStep = null) : IModelRunner
{
    private const int BlockSize = 16;

    private readonly SamplingBatch _results = new(maxRows);

    public RunnerCapacity Capacity { get; } = new(tokenizer.VocabularySize, contextLength, kvTokens / BlockSize, []);

    public void Submit(StepPlan plan)
    {
        onStep?.Invoke(plan);
        plan.Copies.Clear();
        SamplingRows.Fill(plan, _results);
        Span<int> ids = _results.TokenIds;
        for (int row = 0; row < ids.Length; row++)
        {
            // Spread over the vocabulary, the special tokens at its start left out.
            int known = _results.Rows[row].Tokens.Length;
            ids[row] = 256 + (known * 31) % (tokenizer.VocabularySize - 256);
        }
    }

    public SamplingBatch Complete() => _results;

    public ITextDecoder CreateTextDecoder() => new TokenTextDecoder(tokenizer);

    public void Dispose()
    {
    }
}
