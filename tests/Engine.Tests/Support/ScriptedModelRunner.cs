using LlamaServe.Engine.Execution;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Text;
using LlamaServe.Kernels;

namespace LlamaServe.Engine.Tests.Support;

/// <summary>
/// A model without weights: the next token is a hash of all tokens that it attends to through the block table, of the seed and
/// of the index. Token i reads as the letter 'a' + i mod 26.
/// </summary>
internal sealed class ScriptedModelRunner : IModelRunner
{
    private readonly PagedMemory _memory;
    private readonly SamplingBatch[] _samplings;
    private readonly Queue<(StepPlan Plan, SamplingBatch Results)> _underWay = [];
    private SamplingBatch _sampling;

    public ScriptedModelRunner(EngineOptions options, int vocabulary = 1000, int context = 256, int blocks = 64, int[]? endIds = null, int hostBlocks = 0)
    {
        Capacity = new RunnerCapacity(vocabulary, context, blocks, endIds ?? [], hostBlocks);
        _memory = new PagedMemory(blocks, options.BlockSize, hostBlocks);
        int rows = options.MaxSequences + options.PromptLogProbRows;
        _samplings = [new SamplingBatch(rows), new SamplingBatch(rows)];
        _sampling = _samplings[0];
    }

    public RunnerCapacity Capacity { get; }

    public bool Overlaps { get; init; }

    /// <summary>Called where a step's results are asked for, before they are there; may throw or block.</summary>
    public Action<StepPlan>? BeforeResults { get; init; }

    /// <summary>Called before a step is computed; may throw or block.</summary>
    public Action<StepPlan>? BeforeStep { get; init; }

    /// <summary>Called before a token becomes text, which is the loop's own work; may throw.</summary>
    public Action? BeforeText { get; init; }

    /// <summary>Called when it is to be freed; may throw.</summary>
    public Action? BeforeDispose { get; init; }

    /// <summary>Rows for which no token can be chosen.</summary>
    public Func<Sequence, bool> IsNaN { get; init; } = _ => false;

    public bool IsDisposed { get; private set; }

    /// <summary>What the model generates: the truth that no scheduling may change.</summary>
    public static int[] Expected(ReadOnlySpan<int> prompt, int count, ulong seed = 0, int vocabulary = 1000)
    {
        var tokens = new List<int>(prompt.ToArray());
        for (int i = 0; i < count; i++)
        {
            uint attended = PagedMemory.Attend(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(tokens));
            tokens.Add(Next(attended, seed, (ulong)i, vocabulary));
        }
        return [.. tokens.Skip(prompt.Length)];
    }

    public void Submit(StepPlan plan)
    {
        Assert.That(_underWay, Has.Count.LessThan(Overlaps ? 2 : 1), "steps under way");
        BeforeStep?.Invoke(plan);
        SamplingBatch before = _sampling;
        _sampling = before == _samplings[0] ? _samplings[1] : _samplings[0];
        _memory.Store(plan, before.TokenIds);
        SamplingRows.Fill(plan, _sampling);
        int row = 0;
        foreach (ref readonly StepSlice slice in plan.Slices)
        {
            for (int i = slice.LogitsFrom; i < slice.Count; i++, row++)
            {
                Choose(slice.Sequence, slice.Start + i, row);
            }
        }
        _underWay.Enqueue((plan, _sampling));
    }

    public SamplingBatch Complete()
    {
        (StepPlan plan, SamplingBatch results) = _underWay.Dequeue();
        BeforeResults?.Invoke(plan);
        return results;
    }

    public ITextDecoder CreateTextDecoder() => new LetterDecoder(BeforeText);

    public void Dispose()
    {
        IsDisposed = true;
        BeforeDispose?.Invoke();
    }

    /// <summary>The score that a step gives to <paramref name="token"/> after <paramref name="before"/>.</summary>
    public static float Score(ReadOnlySpan<int> before, int token) => Score(PagedMemory.Attend(before), token);

    private static float Score(uint attended, int token) => -((attended ^ (uint)token) % 1000) / 100f;

    private static int Next(uint attended, ulong seed, ulong counter, int vocabulary) =>
        (int)((attended ^ (uint)(seed * 0x9E3779B9 + counter * 0x85EBCA6B)) % (uint)vocabulary);

    private void Choose(Sequence sequence, int position, int row)
    {
        SamplingRow wanted = _sampling.Rows[row];
        uint attended = _memory.Attend(sequence, position);
        int token = wanted.TargetId >= 0 ? wanted.TargetId : Next(attended, wanted.Seed, wanted.Counter, Capacity.VocabularySize);
        while (wanted.BannedIds.Span.Contains(token))
        {
            token = (token + 1) % Capacity.VocabularySize;
        }
        _sampling.TokenIds[row] = IsNaN(sequence) ? -1 : token;
        _sampling.LogProbs[row] = Score(attended, token);
        for (int i = 0; i < wanted.TopLogProbs; i++)
        {
            _sampling.TopIds(row)[i] = (token + i) % Capacity.VocabularySize;
            _sampling.TopLogProbs(row)[i] = Score(attended, (token + i) % Capacity.VocabularySize);
        }
    }

    private sealed class LetterDecoder(Action? beforeText) : ITextDecoder
    {
        public string Append(int tokenId)
        {
            beforeText?.Invoke();
            return Letter(tokenId).ToString();
        }

        public string Flush() => "";
    }

    public static char Letter(int token) => (char)('a' + token % 26);
}
