namespace LlamaServe.Kernels;

/// <summary>How one row of logits becomes a token. Set each step by the engine; nothing here is validated again below the seam.</summary>
public struct SamplingRow
{
    /// <summary>0 is greedy: the largest logit, the smallest id among equals.</summary>
    public float Temperature;

    /// <summary>Keep the k most likely tokens; 0 for all.</summary>
    public int TopK;

    /// <summary>Keep the smallest set of most likely tokens whose probability reaches it; 1 for all.</summary>
    public float TopP;

    /// <summary>Keep tokens at least this fraction as likely as the most likely one; 0 for all.</summary>
    public float MinP;

    /// <summary>Divides positive and multiplies negative logits of tokens already in prompt or output (CTRL, arXiv:1909.05858); 1 for none.</summary>
    public float RepetitionPenalty;

    /// <summary>Subtracted from the logit of each token already in the output; 0 for none.</summary>
    public float PresencePenalty;

    /// <summary>Subtracted once for each time the token is in the output; 0 for none.</summary>
    public float FrequencyPenalty;

    /// <summary>Key of the counter-based generator (Philox4x32-10).</summary>
    public ulong Seed;

    /// <summary>Counter of the generator: the index of the token to choose in its output, so that nothing but seed and index decides.</summary>
    public ulong Counter;

    /// <summary>Tokens of the sequence so far, prompt first; the last may be ~row, where the step under way chooses it.</summary>
    public ReadOnlyMemory<int> Tokens;

    /// <summary>Drafts between <see cref="Tokens"/> and the token to choose, which count as output; may be empty.</summary>
    public ReadOnlyMemory<int> DraftTokens;

    /// <summary>How many of <see cref="Tokens"/> are prompt.</summary>
    public int PromptLength;

    /// <summary>Ids whose logit gets <see cref="BiasValues"/> added; may be empty.</summary>
    public ReadOnlyMemory<int> BiasIds;

    public ReadOnlyMemory<float> BiasValues;

    /// <summary>Ids that cannot be chosen now (end ids before the minimum length); may be empty.</summary>
    public ReadOnlyMemory<int> BannedIds;

    /// <summary>Score this id instead of sampling (log-probabilities of a prompt); −1 to sample.</summary>
    public int TargetId;

    /// <summary>How many most likely tokens to report with their log-probability; 0 for none, at most <see cref="SamplingBatch.MaxTopLogProbs"/>.</summary>
    public int TopLogProbs;

    /// <summary>Whether the chosen token's log-probability is wanted.</summary>
    public bool LogProb;
}

/// <summary>
/// Rows to sample and their results, allocated once for the largest step. Log-probabilities are natural logarithms of the
/// model's own distribution: before temperature, penalties, bias and truncation.
/// </summary>
public sealed class SamplingBatch(int maxRows)
{
    /// <summary>Most alternatives that a row can report.</summary>
    public const int MaxTopLogProbs = 20;

    private readonly SamplingRow[] _rows = new SamplingRow[maxRows];
    private readonly int[] _tokenIds = new int[maxRows];
    private readonly float[] _logProbs = new float[maxRows];
    private readonly int[] _topIds = new int[maxRows * MaxTopLogProbs];
    private readonly float[] _topLogProbs = new float[maxRows * MaxTopLogProbs];

    /// <summary>Rows in use; row i belongs to row i of the logits.</summary>
    public int Count { get; private set; }

    /// <summary>[Count] what to do with each row.</summary>
    public ReadOnlySpan<SamplingRow> Rows => _rows.AsSpan(0, Count);

    /// <summary>[Count] the chosen ids, or −1 where a row held a NaN and nothing could be chosen.</summary>
    public Span<int> TokenIds => _tokenIds.AsSpan(0, Count);

    /// <summary>[Count] log-probability of the chosen (or target) id, where asked for.</summary>
    public Span<float> LogProbs => _logProbs.AsSpan(0, Count);

    /// <summary>[MaxTopLogProbs] most likely ids of a row, most likely first; the first TopLogProbs are set.</summary>
    public Span<int> TopIds(int row) => _topIds.AsSpan(row * MaxTopLogProbs, MaxTopLogProbs);

    /// <summary>[MaxTopLogProbs] their log-probabilities.</summary>
    public Span<float> TopLogProbs(int row) => _topLogProbs.AsSpan(row * MaxTopLogProbs, MaxTopLogProbs);

    /// <summary>What to verify by the chosen ids, as soon as they are chosen; null for nothing.</summary>
    public DraftBatch? Drafts { get; set; }

    /// <summary>Empties the batch and lets go of the sequences' memory.</summary>
    public void Clear()
    {
        Array.Clear(_rows, 0, Count);
        Count = 0;
        Drafts = null;
    }

    /// <summary>Appends a row.</summary>
    public void Add(in SamplingRow row) => _rows[Count++] = row;
}
