using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// A batch's lists on the device, in one upload a step: int32 arrays one after the other, each at a place that depends on the
/// batch's capacity alone, so that it stays put from step to step.
/// </summary>
internal sealed class StepInputs(CudaRuntime runtime) : IDisposable
{
    private CudaDeviceVariable<int>? _memory;
    private int[] _staging = [];
    private ForwardBatch? _current;
    private Capacity _capacity;

    /// <summary>[TokenCount] vocabulary ids.</summary>
    public DevicePtr TokenIds => At(0);

    /// <summary>[TokenCount] position of each token in its sequence.</summary>
    public DevicePtr Positions => At(_capacity.Tokens);

    /// <summary>[TokenCount] physical block · block size + offset.</summary>
    public DevicePtr SlotMapping => At(2 * _capacity.Tokens);

    /// <summary>[LogitsCount] token rows.</summary>
    public DevicePtr LogitsRows => At(3 * _capacity.Tokens);

    /// <summary>[SequenceCount + 1] first token row of each sequence.</summary>
    public DevicePtr QueryStart => At(4 * _capacity.Tokens);

    /// <summary>[SequenceCount] tokens of each sequence once this step's are stored.</summary>
    public DevicePtr ContextLengths => At(4 * _capacity.Tokens + _capacity.Sequences + 1);

    /// <summary>[SequenceCount][MaxBlocksPerSequence] physical blocks.</summary>
    public DevicePtr BlockTables => At(4 * _capacity.Tokens + 2 * _capacity.Sequences + 1);

    /// <summary>Forgets the batch, whose object will be filled anew.</summary>
    public void Reset() => _current = null;

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
        int used = Fill(batch);
        runtime.Uploads.Upload(runtime.Stream, _memory!.Pointer, MemoryMarshal.AsBytes(_staging.AsSpan(0, used)));
        _current = batch;
    }

    public void Dispose() => _memory?.Dispose();

    private void Allocate(Capacity capacity)
    {
        _memory?.Dispose();
        _capacity = capacity;
        _staging = new int[capacity.Words];
        _memory = new CudaDeviceVariable<int>(runtime.Context, capacity.Words);
    }

    /// <returns>Words to upload: up to the last sequence's table.</returns>
    private int Fill(ForwardBatch batch)
    {
        Span<int> words = _staging;
        batch.TokenIds.CopyTo(words);
        batch.Positions.CopyTo(words[_capacity.Tokens..]);
        batch.SlotMapping.CopyTo(words[(2 * _capacity.Tokens)..]);
        batch.LogitsRows.CopyTo(words[(3 * _capacity.Tokens)..]);
        words = words[(4 * _capacity.Tokens)..];
        batch.QueryStart.CopyTo(words);
        words = words[(_capacity.Sequences + 1)..];
        batch.ContextLengths.CopyTo(words);
        words = words[_capacity.Sequences..];
        for (int sequence = 0; sequence < batch.SequenceCount; sequence++)
        {
            batch.BlockTable(sequence).CopyTo(words[(sequence * batch.MaxBlocksPerSequence)..]);
        }
        return _capacity.Words - words.Length + batch.SequenceCount * batch.MaxBlocksPerSequence;
    }

    private DevicePtr At(int word) => _memory!.Pointer + (long)word * sizeof(int);

    private readonly record struct Capacity(int Tokens, int Sequences, int BlocksPerSequence)
    {
        public int Words => checked(4 * Tokens + 2 * Sequences + 1 + Sequences * BlocksPerSequence);
    }
}
