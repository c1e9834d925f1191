using System.Numerics;

namespace LlamaServe.Kernels;

/// <summary>
/// Drafted tokens of a step's sequences and which of them were accepted, allocated once for the largest step. A draft is accepted
/// when it is the token that the model's own sample chose in its place: what comes out is, token for token, what the same seeds give
/// without drafts. A draft that is not drawn from a distribution is accepted as often as by rejection sampling (arXiv:2211.17192).
/// <para>A sequence's rows of logits are the committed token's, then one for each draft.</para>
/// </summary>
public sealed class DraftBatch(int maxSequences, int maxDrafts)
{
    private readonly DraftSequence[] _sequences = new DraftSequence[maxSequences];
    private readonly DraftToken[] _drafts = new DraftToken[maxDrafts];
    private readonly DraftResult[] _results = new DraftResult[maxSequences];
    private readonly int[] _accepted = new int[maxDrafts];

    public int SequenceCount { get; private set; }

    public int DraftCount { get; private set; }

    /// <summary>Number of accepted drafts of a sequence.</summary>
    public int AcceptedCount(int sequence) => _results[sequence].Accepted;

    /// <summary>[AcceptedCount] the accepted drafts of a sequence, each the parent of the next, as indices into its drafts.</summary>
    public ReadOnlySpan<int> Accepted(int sequence) => _accepted.AsSpan(_sequences[sequence].FirstDraft, _results[sequence].Accepted);

    /// <summary>The token behind the last accepted draft, which the model chose; −1 where its row held a NaN.</summary>
    public int NextId(int sequence) => _results[sequence].NextId;

    internal ReadOnlySpan<DraftSequence> Sequences => _sequences.AsSpan(0, SequenceCount);

    internal ReadOnlySpan<DraftToken> Drafts => _drafts.AsSpan(0, DraftCount);

    internal Span<DraftResult> Results => _results.AsSpan(0, SequenceCount);

    /// <summary>[DraftCount] accepted drafts, those of a sequence from its first draft on.</summary>
    internal Span<int> AcceptedDrafts => _accepted.AsSpan(0, DraftCount);

    public void Clear() => (SequenceCount, DraftCount) = (0, 0);

    /// <summary>Appends a sequence's drafts.</summary>
    /// <param name="firstRow">Row of logits of the token before them; theirs follow.</param>
    /// <param name="tokens">Drafted ids, at most <see cref="ForwardBatch.MaxTreeTokens"/>; none is verified as well.</param>
    /// <param name="ancestors">As <see cref="ForwardBatch.AddTree"/> takes them; empty for a chain.</param>
    /// <exception cref="ArgumentException">More than fits, or the bits are those of no tree.</exception>
    public void Add(int firstRow, ReadOnlySpan<int> tokens, ReadOnlySpan<ulong> ancestors)
    {
        Check.That(ancestors.IsEmpty || ancestors.Length == tokens.Length, $"{tokens.Length} drafts with the ancestors of {ancestors.Length}");
        Check.That(
            tokens.Length <= ForwardBatch.MaxTreeTokens && tokens.Length <= _drafts.Length - DraftCount && SequenceCount < _sequences.Length,
            $"{tokens.Length} drafts do not fit after {DraftCount} of {_drafts.Length}, sequence {SequenceCount} of {_sequences.Length}");
        Check.Tree(ancestors, tokens.Length);
        _sequences[SequenceCount++] = new DraftSequence(firstRow, DraftCount, tokens.Length, 0);
        for (int i = 0; i < tokens.Length; i++)
        {
            ulong above = ancestors.IsEmpty ? 0 : ancestors[i] & ~(1UL << i);
            int parent = ancestors.IsEmpty ? i - 1 : above == 0 ? -1 : BitOperations.Log2(above);
            _drafts[DraftCount++] = new DraftToken(tokens[i], parent);
        }
    }
}

/// <summary>As verify_draft.cu lays it out.</summary>
internal readonly record struct DraftSequence(int FirstRow, int FirstDraft, int Count, int Reserved);

/// <summary>As verify_draft.cu lays it out.</summary>
/// <param name="Parent">Index among the sequence's drafts; −1 behind the committed token.</param>
internal readonly record struct DraftToken(int Id, int Parent);

/// <summary>As verify_draft.cu lays it out.</summary>
internal readonly record struct DraftResult(int Accepted, int NextId);
