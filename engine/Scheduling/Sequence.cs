using LlamaServe.Engine.KvCache;

namespace LlamaServe.Engine.Scheduling;

internal enum SequenceStatus
{
    /// <summary>Not known to the scheduler, or no more.</summary>
    Idle,

    /// <summary>In the waiting queue, without blocks.</summary>
    Waiting,

    /// <summary>Out of the queue and without blocks until its reader catches up.</summary>
    Parked,

    /// <summary>Holds blocks.</summary>
    Running,
}

/// <summary>What a sequence is made from.</summary>
/// <param name="Prompt">At least one token.</param>
/// <param name="MaxLength">Most tokens, prompt included.</param>
/// <param name="Sample">Index of the sample in its request.</param>
/// <param name="Priority">Higher first.</param>
/// <param name="Arrival">Order of arrival of its request; equal for the samples of one.</param>
/// <param name="Tenant">Whose it is.</param>
/// <param name="Root">Start of its hash chain.</param>
/// <param name="ScorePrompt">Whether the prompt's log-probabilities are wanted.</param>
internal sealed record SequenceSpec(
    ReadOnlyMemory<int> Prompt,
    int MaxLength,
    int Sample = 0,
    int Priority = 0,
    long Arrival = 0,
    string Tenant = "",
    BlockHash Root = default,
    bool ScorePrompt = false);

/// <summary>
/// The tokens of one sample and how far their keys and values are computed. There is no prefill phase and no decode phase:
/// each step lets the computed tokens catch up with the known ones.
/// <code>
///            0            ComputedCount      PromptLength     KnownCount      MaxLength
/// tokens:    |-- computed --|-- to compute ------|--- output ----|              |
/// blocks:    [   ][   ][   ][   ]                                  BlockCount of BlockTable
/// hashes:     #    #    #                                          of full blocks, a chain
/// </code>
/// </summary>
internal sealed class Sequence
{
    /// <summary>Tokens by which buffers grow at least.</summary>
    private const int Growth = 4096;

    private readonly bool _scorePrompt;
    private SequenceBuffers? _buffers;
    private int[] _tokens;
    private int[] _blockTable = [];
    private BlockHash[] _hashes = [];
    private int _hashCount;

    public Sequence(SequenceSpec spec, object? owner = null)
    {
        Spec = spec;
        Owner = owner;
        _scorePrompt = spec.ScorePrompt;
        _tokens = spec.Prompt.ToArray();
        KnownCount = _tokens.Length;
        PromptLength = _tokens.Length;
    }

    public SequenceSpec Spec { get; }

    /// <summary>For whoever made it.</summary>
    public object? Owner { get; }

    public int PromptLength { get; }

    /// <summary>Prompt and output tokens, pending ones included.</summary>
    public int KnownCount { get; private set; }

    /// <summary>Tokens whose keys and values are in the blocks.</summary>
    public int ComputedCount { get; set; }

    /// <summary>Prompt tokens that have been scored: position p scores token p + 1.</summary>
    public int ScoredCount { get; set; }

    public int BlockCount { get; private set; }

    /// <summary>Leading blocks that were offered to the prefix cache or came from it.</summary>
    public int OfferedBlocks { get; set; }

    /// <summary>
    /// Last tokens that steps under way will bring. The device has them before the host; in <see cref="Tokens"/> each is ~row, its
    /// row in its step's results.
    /// </summary>
    public int PendingCount { get; private set; }

    /// <summary>Output tokens so far, pending ones included.</summary>
    public int OutputCount => KnownCount - PromptLength;

    public int Outstanding => KnownCount - ComputedCount;

    /// <summary>Whether logits of prompt positions are still wanted.</summary>
    public bool IsScoring => _scorePrompt && ScoredCount < PromptLength - 1;

    public SequenceStatus Status { get; set; }

    /// <summary>Its reader is behind: it is not scheduled. Changed through the scheduler alone.</summary>
    public bool IsPaused { get; set; }

    /// <summary>The priority that it was admitted with: its own, raised by waiting.</summary>
    public int Level { get; set; }

    /// <summary>Known tokens that its tenant has been charged for.</summary>
    public int ChargedCount { get; set; }

    /// <summary>Tokens that the prefix cache gave when it was first admitted.</summary>
    public int PrefixHit { get; set; }

    public int Preemptions { get; set; }

    public TenantAccount? Account { get; set; }

    public ReadOnlySpan<int> Tokens => _tokens.AsSpan(0, KnownCount);

    public ReadOnlyMemory<int> TokenMemory => _tokens.AsMemory(0, KnownCount);

    public ReadOnlySpan<int> BlockTable => _blockTable.AsSpan(0, BlockCount);

    /// <summary>Appends a generated token.</summary>
    public void Append(int token)
    {
        if (KnownCount == _tokens.Length)
        {
            Grow(ref _tokens, Grown(KnownCount + 1, Spec.MaxLength), _buffers?.Tokens);
        }
        _tokens[KnownCount++] = token;
    }

    /// <summary>Appends the token that a step under way chooses for a row of its results.</summary>
    public void AppendPending(int row)
    {
        Append(~row);
        PendingCount++;
    }

    /// <summary>The oldest pending token has come.</summary>
    public void Resolve(int token) => _tokens[KnownCount - PendingCount--] = token;

    /// <summary>The newest pending token will not come.</summary>
    public void DropPending()
    {
        KnownCount--;
        PendingCount--;
    }

    /// <summary>Makes buffers large enough that the next steps allocate nothing.</summary>
    /// <param name="buffers">Where they come from, and go to on <see cref="Release"/>.</param>
    public void Reserve(int blockSize, SequenceBuffers buffers)
    {
        _buffers = buffers;
        int tokens = Grown(KnownCount, Spec.MaxLength);
        int blocks = (tokens + blockSize - 1) / blockSize;
        if (_tokens.Length < tokens)
        {
            Grow(ref _tokens, tokens, buffers.Tokens);
        }
        if (_blockTable.Length < blocks)
        {
            Grow(ref _blockTable, blocks, buffers.BlockTables);
        }
        if (_hashes.Length < blocks)
        {
            Grow(ref _hashes, blocks, buffers.Hashes);
        }
    }

    /// <summary>Gives the buffers back; of the tokens only the counts are left.</summary>
    public void Release()
    {
        _buffers?.Tokens.Return(_tokens);
        _buffers?.BlockTables.Return(_blockTable);
        _buffers?.Hashes.Return(_hashes);
        _buffers = null;
        (_tokens, _blockTable, _hashes, _hashCount) = ([], [], [], 0);
    }

    /// <summary>Goes on with copies, where a thread that was given up may still read the buffers.</summary>
    public void LeaveBuffers()
    {
        _buffers = null;
        (_tokens, _blockTable, _hashes) = ([.. _tokens], [.. _blockTable], [.. _hashes]);
    }

    public void AppendBlock(int block)
    {
        if (BlockCount == _blockTable.Length)
        {
            Grow(ref _blockTable, 2 * BlockCount + 1, _buffers?.BlockTables);
        }
        _blockTable[BlockCount++] = block;
    }

    public void ReplaceBlock(int index, int block) => _blockTable[index] = block;

    /// <summary>Forgets the blocks and with them what was computed.</summary>
    public void ClearBlocks()
    {
        BlockCount = 0;
        OfferedBlocks = 0;
        ComputedCount = 0;
    }

    /// <summary>Hash of full block <paramref name="index"/>, computed once.</summary>
    public BlockHash Hash(int index, int blockSize, BlockHasher hasher)
    {
        if (_hashes.Length <= index)
        {
            Grow(ref _hashes, Math.Max(index + 1, 2 * _hashes.Length), _buffers?.Hashes);
        }
        for (; _hashCount <= index; _hashCount++)
        {
            BlockHash parent = _hashCount == 0 ? Spec.Root : _hashes[_hashCount - 1];
            _hashes[_hashCount] = hasher.Next(parent, _tokens.AsSpan(_hashCount * blockSize, blockSize));
        }
        return _hashes[index];
    }

    /// <summary>Whether this one gets blocks before <paramref name="other"/>.</summary>
    public bool Outranks(Sequence other)
    {
        if (Level != other.Level)
        {
            return Level > other.Level;
        }
        return Spec.Arrival != other.Spec.Arrival ? Spec.Arrival < other.Spec.Arrival : Spec.Sample < other.Spec.Sample;
    }

    private static void Grow<T>(ref T[] buffer, int length, BufferPool<T>? pool)
    {
        T[] grown = pool?.Rent(length) ?? new T[length];
        buffer.CopyTo(grown.AsSpan());
        pool?.Return(buffer);
        buffer = grown;
    }

    private static int Grown(int needed, int most) => Math.Max(needed, Math.Min(most, needed + Math.Max(needed, Growth)));
}
