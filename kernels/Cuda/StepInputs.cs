using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// A batch's lists on the device, in one upload a step: int32 arrays one after the other at places that depend on the number of
/// rows alone, so that they stay put for steps of a shape. Block tables stay there from step to step and lie behind them; the
/// upload ends with the words of them that changed, which a kernel puts in place. Ids that the step before chooses are looked up by
/// who reads them.
/// </summary>
internal sealed class StepInputs(CudaRuntime runtime, RowOps rows, Sample sample) : IDisposable
{
    /// <summary>Changed blocks of a sequence that the upload carries; more, as new sequences have, get a copy of their own.</summary>
    private const int MostChanges = 16;

    private CudaDeviceVariable<int>? _memory;
    private BlockTableChanges _tables = new(0, 0);
    private int[] _staging = [];
    private ForwardBatch? _current;
    private Capacity _capacity;
    private int _tokens, _sequences;

    /// <summary>[TokenCount] vocabulary ids; ~i for number i of <see cref="Sample.ChosenIds"/>.</summary>
    public DevicePtr TokenIds => At(0);

    /// <summary>[TokenCount] position of each token in its sequence.</summary>
    public DevicePtr Positions => At(_tokens);

    /// <summary>[TokenCount] physical block · block size + offset; −1 for a row that stores nothing.</summary>
    public DevicePtr SlotMapping => At(2 * _tokens);

    /// <summary>[LogitsCount] token rows.</summary>
    public DevicePtr LogitsRows => At(3 * _tokens);

    /// <summary>[SequenceCount + 1] first token row of each sequence.</summary>
    public DevicePtr QueryStart => At(4 * _tokens);

    /// <summary>[SequenceCount] tokens of each sequence once this step's are stored.</summary>
    public DevicePtr ContextLengths => At(4 * _tokens + _sequences + 1);

    /// <summary>[SequenceCount][MaxBlocksPerSequence] physical blocks.</summary>
    public DevicePtr BlockTables => At(_capacity.TablesAt);

    /// <summary>Rows of the token table that was read last.</summary>
    public int TokenIdBound { get; private set; }

    /// <summary>Forgets the batch, whose object will be filled anew.</summary>
    public void Reset() => _current = null;

    /// <summary>Brings the batch to the device for a table of so many rows.</summary>
    /// <exception cref="ArgumentException">A token id is beyond the table.</exception>
    public void Upload(ForwardBatch batch, int tokenIdBound)
    {
        foreach (int id in batch.TokenIds)
        {
            Check.That(id < tokenIdBound, $"token id {id} is not in [0, {tokenIdBound})");
        }
        TokenIdBound = tokenIdBound;
        Upload(batch);
    }

    /// <summary>Brings the batch to the device, unless it is there.</summary>
    public void Upload(ForwardBatch batch)
    {
        if (ReferenceEquals(batch, _current))
        {
            return;
        }
        Capacity capacity = new(batch.MaxTokens, batch.MaxSequences, batch.MaxBlocksPerSequence);
        if (_memory is null || capacity != _capacity)
        {
            Allocate(capacity);
        }
        try
        {
            int used = Fill(batch), changes = AddTableChanges(batch, used);
            runtime.Uploads.Upload(runtime.Stream, At(0), MemoryMarshal.AsBytes(_staging.AsSpan(0, used + 2 * changes)));
            rows.ScatterWords(At(0), At(used), changes);
        }
        catch
        {
            _tables.Forget();
            throw;
        }
        _current = batch;
    }

    public void Dispose() => _memory?.Dispose();

    private void Allocate(Capacity capacity)
    {
        _memory?.Dispose();
        _memory = null;
        _capacity = capacity;
        _staging = new int[capacity.TablesAt];
        _tables = new BlockTableChanges(capacity.Sequences, capacity.BlocksPerSequence);
        _memory = new CudaDeviceVariable<int>(runtime.Context, capacity.Words);
        runtime.AddressesMoved();
    }

    /// <returns>Words of the lists.</returns>
    private int Fill(ForwardBatch batch)
    {
        // Places depend on the rows alone where a batch is filled up: the sequences are fewer then.
        (_tokens, _sequences) = (batch.TokenCount, Math.Max(batch.SequenceCount, batch.LogitsCount));
        Span<int> words = _staging;
        CopyTokenIds(batch.TokenIds, words);
        batch.Positions.CopyTo(words[_tokens..]);
        batch.SlotMapping.CopyTo(words[(2 * _tokens)..]);
        batch.LogitsRows.CopyTo(words[(3 * _tokens)..]);
        words = words[(4 * _tokens)..];
        batch.QueryStart.CopyTo(words);
        batch.ContextLengths.CopyTo(words[(_sequences + 1)..]);
        return 4 * _tokens + 2 * _sequences + 1;
    }

    private void CopyTokenIds(ReadOnlySpan<int> ids, Span<int> words)
    {
        PendingIds pending = sample.Pending;
        for (int i = 0; i < ids.Length; i++)
        {
            words[i] = ids[i] >= 0 ? ids[i] : pending.Place(ids[i]);
        }
    }

    /// <summary>Writes place and block of each change behind the lists, and sends what is too much for that.</summary>
    /// <returns>Changes.</returns>
    private int AddTableChanges(ForwardBatch batch, int at)
    {
        int changes = 0;
        for (int sequence = 0; sequence < batch.SequenceCount; sequence++)
        {
            ReadOnlySpan<int> changed = _tables.Take(sequence, batch.UsedBlocks(sequence), out int first);
            int place = _capacity.TablesAt + sequence * _capacity.BlocksPerSequence + first;
            if (changed.Length > MostChanges)
            {
                runtime.Uploads.Upload(runtime.Stream, At(place), MemoryMarshal.AsBytes(changed));
                continue;
            }
            foreach (int block in changed)
            {
                _staging[at + 2 * changes] = place++;
                _staging[at + 2 * changes++ + 1] = block;
            }
        }
        return changes;
    }

    private DevicePtr At(int word) => _memory!.Pointer + (long)word * sizeof(int);

    private readonly record struct Capacity(int Tokens, int Sequences, int BlocksPerSequence)
    {
        /// <summary>The lists and changes of any batch of this size end before.</summary>
        public int TablesAt => checked(4 * Tokens + 2 * Math.Max(Tokens, Sequences) + 1 + 2 * MostChanges * Sequences);

        public int Words => checked(TablesAt + Sequences * BlocksPerSequence);
    }
}
