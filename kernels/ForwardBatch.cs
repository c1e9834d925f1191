using System.Numerics;

namespace LlamaServe.Kernels;

/// <summary>
/// The inputs of one step: the new tokens of several sequences packed one after the other, without padding.
/// <code>
/// sequence:      s0          s1   s2
/// tokens:        a b c d     e    f g        TokenCount = 7, SequenceCount = 3
/// query start:   0           4    5    7     QueryStart[s] .. QueryStart[s + 1]
/// context:       4           9    64         tokens in the KV cache once this step is stored
/// </code>
/// Buffers are allocated once for the largest step and refilled; a step allocates nothing.
/// </summary>
public sealed class ForwardBatch
{
    /// <summary>Most drafted tokens of a sequence's tree.</summary>
    public const int MaxTreeTokens = 64;

    private readonly int[] _tokenIds;
    private readonly int[] _positions;
    private readonly int[] _slotMapping;
    private readonly int[] _queryStart;
    private readonly int[] _contextLengths;
    private readonly int[] _blockTables;
    private readonly int[] _blockCounts;
    private readonly int[] _logitsRows;
    private readonly int[] _treeTokens;
    private readonly ulong[] _ancestors;

    /// <param name="maxTokens">Most tokens of one step.</param>
    /// <param name="maxSequences">Most sequences of one step.</param>
    /// <param name="maxBlocksPerSequence">Longest block table.</param>
    public ForwardBatch(int maxTokens, int maxSequences, int maxBlocksPerSequence)
    {
        MaxBlocksPerSequence = maxBlocksPerSequence;
        _tokenIds = new int[maxTokens];
        _positions = new int[maxTokens];
        _slotMapping = new int[maxTokens];
        _logitsRows = new int[maxTokens];
        _queryStart = new int[maxSequences + 1];
        _contextLengths = new int[maxSequences];
        _blockTables = new int[checked(maxSequences * maxBlocksPerSequence)];
        _blockCounts = new int[maxSequences];
        _treeTokens = new int[maxSequences];
        _ancestors = new ulong[maxTokens];
    }

    /// <summary>Token rows: the sequences' tokens, and what a backend added by <see cref="Pad"/>.</summary>
    public int TokenCount { get; private set; }

    public int SequenceCount { get; private set; }

    public int LogitsCount { get; private set; }

    /// <summary>Row stride of the block tables.</summary>
    public int MaxBlocksPerSequence { get; }

    /// <summary>Most tokens that the batch can hold.</summary>
    public int MaxTokens => _tokenIds.Length;

    /// <summary>Most sequences that the batch can hold.</summary>
    public int MaxSequences => _contextLengths.Length;

    /// <summary>[TokenCount] vocabulary ids; ~row where the step under way chooses the token, in that row of its samples.</summary>
    public ReadOnlySpan<int> TokenIds => _tokenIds.AsSpan(0, TokenCount);

    /// <summary>[TokenCount] position of each token in its sequence, from 0; in a tree, of those that see it: its depth counts.</summary>
    public ReadOnlySpan<int> Positions => _positions.AsSpan(0, TokenCount);

    /// <summary>[TokenCount] where the token's key and value go: physical block · block size + offset.</summary>
    public ReadOnlySpan<int> SlotMapping => _slotMapping.AsSpan(0, TokenCount);

    /// <summary>[SequenceCount + 1] first token row of each sequence, then the sequences' tokens.</summary>
    public ReadOnlySpan<int> QueryStart => _queryStart.AsSpan(0, SequenceCount + 1);

    /// <summary>[SequenceCount] tokens of the sequence once this step's are stored.</summary>
    public ReadOnlySpan<int> ContextLengths => _contextLengths.AsSpan(0, SequenceCount);

    /// <summary>[LogitsCount] token rows whose logits are wanted, ascending.</summary>
    public ReadOnlySpan<int> LogitsRows => _logitsRows.AsSpan(0, LogitsCount);

    /// <summary>Whether a sequence ends in a tree that is no chain.</summary>
    public bool HasTrees { get; private set; }

    /// <summary>[SequenceCount] how many of a sequence's last tokens are a tree; 0 for a sequence without one.</summary>
    public ReadOnlySpan<int> TreeTokens => _treeTokens.AsSpan(0, SequenceCount);

    /// <summary>[TokenCount] which tokens of its sequence's tree a token of the tree sees: bit j for the tree's token j. 0 for other tokens.</summary>
    public ReadOnlySpan<ulong> Ancestors => _ancestors.AsSpan(0, TokenCount);

    /// <summary>Physical blocks of sequence <paramref name="sequence"/>, in token order; as many as its context needs are valid.</summary>
    public ReadOnlySpan<int> BlockTable(int sequence) =>
        _blockTables.AsSpan(sequence * MaxBlocksPerSequence, MaxBlocksPerSequence);

    /// <summary>Place in the cache of the first token of a sequence's tree; of a sequence without one, its end.</summary>
    internal int TreeStart(int sequence) => _contextLengths[sequence] - _treeTokens[sequence];

    /// <summary>Those of them that its context needs.</summary>
    internal ReadOnlySpan<int> UsedBlocks(int sequence) => BlockTable(sequence)[.._blockCounts[sequence]];

    /// <summary>Whether every sequence has one new token, whose logits are wanted.</summary>
    internal bool IsDecode => TokenCount == SequenceCount && LogitsCount == SequenceCount;

    /// <summary>Empties the batch.</summary>
    public void Clear()
    {
        TokenCount = 0;
        SequenceCount = 0;
        LogitsCount = 0;
        HasTrees = false;
        _queryStart[0] = 0;
    }

    /// <summary>Appends one sequence's new tokens.</summary>
    /// <param name="tokens">The ids to compute, in order.</param>
    /// <param name="firstPosition">Position of the first of them: the tokens computed before this step.</param>
    /// <param name="blockTable">Physical blocks that hold positions 0 .. firstPosition + tokens.Length.</param>
    /// <param name="blockSize">Tokens of a block.</param>
    /// <param name="logitsFrom">Index in <paramref name="tokens"/> from which on logits are wanted; tokens.Length for none.</param>
    /// <exception cref="ArgumentException">The tokens or blocks do not fit the batch's buffers.</exception>
    public void Add(ReadOnlySpan<int> tokens, int firstPosition, ReadOnlySpan<int> blockTable, int blockSize, int logitsFrom)
    {
        int context = firstPosition + tokens.Length;
        int blocks = (context + blockSize - 1) / blockSize;
        if (tokens.IsEmpty || tokens.Length > MaxTokens - TokenCount || SequenceCount == _contextLengths.Length)
        {
            throw new ArgumentException($"{tokens.Length} tokens do not fit after {TokenCount} of {MaxTokens}, sequence {SequenceCount} of {_contextLengths.Length}");
        }
        if (blocks > blockTable.Length || blocks > MaxBlocksPerSequence)
        {
            throw new ArgumentException($"context {context} needs {blocks} blocks of {blockSize}, the table has {blockTable.Length} of at most {MaxBlocksPerSequence}");
        }
        blockTable[..blocks].CopyTo(_blockTables.AsSpan(SequenceCount * MaxBlocksPerSequence));
        _blockCounts[SequenceCount] = blocks;
        tokens.CopyTo(_tokenIds.AsSpan(TokenCount));
        for (int i = 0; i < tokens.Length; i++)
        {
            int position = firstPosition + i;
            _positions[TokenCount + i] = position;
            _slotMapping[TokenCount + i] = blockTable[position / blockSize] * blockSize + position % blockSize;
            if (i >= logitsFrom)
            {
                _logitsRows[LogitsCount++] = TokenCount + i;
            }
        }
        _ancestors.AsSpan(TokenCount, tokens.Length).Clear();
        _treeTokens[SequenceCount] = 0;
        TokenCount += tokens.Length;
        _contextLengths[SequenceCount++] = context;
        _queryStart[SequenceCount] = TokenCount;
    }

    /// <summary>
    /// Appends one sequence's new tokens, the last of which are a tree of drafts (SpecInfer, arXiv:2305.09781). Each sees all tokens
    /// before the tree and, of the tree, its ancestors and itself. Tokens take slots in the order given, whatever their depth.
    /// </summary>
    /// <param name="ancestors">For each token of the tree, at most <see cref="MaxTreeTokens"/>, those of it that the token sees: bit j
    /// for token j. A token's parent comes before it; a chain is what <see cref="Add"/> makes of it.</param>
    /// <exception cref="ArgumentException">The tokens or blocks do not fit the batch's buffers, or the bits are those of no tree.</exception>
    public void AddTree(
        ReadOnlySpan<int> tokens, ReadOnlySpan<ulong> ancestors, int firstPosition, ReadOnlySpan<int> blockTable, int blockSize, int logitsFrom)
    {
        Check.Tree(ancestors, tokens.Length);
        Add(tokens, firstPosition, blockTable, blockSize, logitsFrom);
        if (ancestors.IsEmpty || IsChain(ancestors))
        {
            return;
        }
        int first = TokenCount - ancestors.Length, position = firstPosition + tokens.Length - ancestors.Length;
        for (int i = 0; i < ancestors.Length; i++)
        {
            _ancestors[first + i] = ancestors[i];
            _positions[first + i] = position + BitOperations.PopCount(ancestors[i]) - 1;
        }
        _treeTokens[SequenceCount - 1] = ancestors.Length;
        HasTrees = true;
    }

    /// <summary>
    /// Fills a decode batch up to <paramref name="rows"/> token rows that belong to no sequence and have no slot (−1), so that
    /// batches of different sizes have one shape. Their results mean nothing.
    /// </summary>
    internal void Pad(int rows)
    {
        for (int row = TokenCount; row < rows; row++)
        {
            _tokenIds[row] = 0;
            _positions[row] = 0;
            _slotMapping[row] = -1;
            _logitsRows[row] = row;
        }
        (TokenCount, LogitsCount) = (rows, rows);
    }

    /// <summary>Takes away what <see cref="Pad"/> added.</summary>
    internal void Unpad() => (TokenCount, LogitsCount) = (SequenceCount, SequenceCount);

    /// <summary>Whether the last token, and so every one, sees all before it.</summary>
    private static bool IsChain(ReadOnlySpan<ulong> ancestors) => BitOperations.PopCount(ancestors[^1]) == ancestors.Length;
}
