using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Cuda.Memory;

namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// Chooses a token for each row of logits on the device, by the rules of the CPU's Sample. One copy goes up with the rows'
/// parameters, one comes back with token ids and the log-probabilities that were asked for. A step can be started while the one
/// before it is under way, and depend on the ids that it chooses.
/// </summary>
internal sealed unsafe class Sample : IDisposable
{
    internal const int ScanThreads = 256;
    internal const int ChooseThreads = 512;

    // Shared memory as sample_*.cu lay it out; rows with edits need a slice of logits and its counts besides.
    internal const int SliceBytes = 2 * 4096 * 4;
    internal const int ScanBytes = 8 * 8 + 8 * SamplingBatch.MaxTopLogProbs * 8 + 16;
    internal const int WeighBytes = 8 * 5 * 8 + 16;
    internal const int ChooseBytes = 2 * 3 * 1024 * 4 + SliceBytes + 16 * 24 + 64;

    private readonly CudaStream _stream;
    private readonly DevicePool _memory;
    private readonly CudaKernel _scan, _weigh, _choose;
    private readonly VerifyDraft? _verifyDraft;
    private readonly SamplingSlot[] _slots;
    private SamplingWorkspace? _workspace;
    private long _started, _finished;

    /// <param name="kernel">A kernel by its file's name and its own.</param>
    /// <param name="verifyDraft">Null where no batch has drafts.</param>
    public Sample(CudaStream stream, DevicePool memory, Func<string, string, CudaKernel> kernel, VerifyDraft? verifyDraft = null)
    {
        _verifyDraft = verifyDraft;
        _stream = stream;
        _memory = memory;
        _slots = [new SamplingSlot(stream, 0), new SamplingSlot(stream, 1)];
        _scan = kernel("sample_scan.cu", "sample_scan");
        _weigh = kernel("sample_weigh.cu", "sample_weigh");
        _choose = kernel("sample_choose.cu", "sample_choose");
    }

    /// <summary>The ids that all steps chose, as <see cref="Pending"/> indexes them.</summary>
    public DevicePtr ChosenIds => _workspace?.Results ?? default;

    /// <summary>What the step that was started last chooses.</summary>
    public PendingIds Pending { get; private set; }

    /// <summary>Makes room for so many rows, with no step under way. Memory that was reserved for fewer is not given back.</summary>
    /// <returns>Whether memory has moved.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The vocabulary has more than 2²⁰ tokens.</exception>
    public bool Reserve(int rows, int vocabularySize)
    {
        if (_workspace is not null && rows <= _workspace.Rows && vocabularySize <= _workspace.VocabularySize)
        {
            return false;
        }
        Check.That(_started == _finished, $"{rows} rows of {vocabularySize} logits are more than was reserved, and a step is under way");
        int mostRows = Math.Max(rows, _workspace?.Rows ?? 0), widest = Math.Max(vocabularySize, _workspace?.VocabularySize ?? 0);
        _workspace?.Dispose();
        _workspace = null;
        _workspace = new SamplingWorkspace(_stream, _memory, mostRows, widest);
        Pending = default;
        return true;
    }

    /// <summary>Chooses, waits, and fills in the batch's results.</summary>
    public void Run(Tensor logits, SamplingBatch batch)
    {
        Start(logits, batch);
        Finish(batch);
    }

    /// <summary>Queues the choice, for no row also: the step ends here. At most two steps can be under way.</summary>
    /// <param name="logits">[batch.Count, vocabulary] F32 on the device.</param>
    /// <returns>Whether memory has moved.</returns>
    public bool Start(Tensor logits, SamplingBatch batch)
    {
        Check.That(_started - _finished < _slots.Length, $"{_slots.Length} steps are under way");
        // What was accepted of a step's drafts has one place.
        Check.That(batch.Drafts is null || _started == _finished, $"drafts are verified while another step is under way");
        SamplingSlot slot = _slots[_started % _slots.Length];
        // Of a step that failed while it was being started, some may still be under way.
        slot.Wait();
        bool hasMoved = false;
        try
        {
            if (batch.Count > 0)
            {
                CheckRows(logits, batch);
                hasMoved = Reserve(batch.Count, logits.Columns);
                Enqueue(logits, batch, slot);
            }
        }
        finally
        {
            slot.End();
        }
        Pending = new PendingIds(batch.Count, _workspace is null ? 0 : slot.FirstResult(_workspace));
        slot.Rows = batch.Count;
        _started++;
        return hasMoved;
    }

    /// <summary>Waits for the oldest step under way and fills in its results.</summary>
    public void Finish(SamplingBatch batch)
    {
        Check.That(_finished < _started, $"no step is under way");
        SamplingSlot slot = _slots[_finished++ % _slots.Length];
        slot.Wait();
        Check.That(slot.Rows == batch.Count, $"the oldest step under way has {slot.Rows} rows, not {batch.Count}");
        if (batch.Count > 0)
        {
            slot.Read(_workspace!, batch);
            if (batch.Drafts is { } drafts)
            {
                _verifyDraft!.Read(drafts);
            }
        }
    }

    public void Dispose()
    {
        Array.ForEach(_slots, slot => slot.Dispose());
        _workspace?.Dispose();
    }

    /// <summary>What a kernel would read or write out of bounds.</summary>
    private static void CheckRows(Tensor logits, SamplingBatch batch)
    {
        foreach (ref readonly SamplingRow row in batch.Rows)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row.TargetId, logits.Columns, nameof(batch));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(row.TopLogProbs, SamplingBatch.MaxTopLogProbs, nameof(batch));
        }
    }

    private void Enqueue(Tensor logits, SamplingBatch batch, SamplingSlot slot)
    {
        slot.Upload.Write(batch.Rows, Pending);
        int first = slot.FirstResult(_workspace!);
        SamplingStep step = _workspace!.Step(logits, slot.Upload, first);
        Launch(step, slot.Upload.Rows);
        _stream.CopyToHost((int*)_workspace.HostResults.Handle + first, step.Results, (long)slot.Upload.ResultLength * sizeof(int));
        if (batch.Drafts is { } drafts)
        {
            _verifyDraft!.Enqueue(step.Results, drafts);
        }
    }

    private void Launch(SamplingStep step, ReadOnlySpan<SamplingRowData> rows)
    {
        bool hasEdits = false, needsOnlyScan = true;
        foreach (ref readonly SamplingRowData row in rows)
        {
            hasEdits |= row.HasEdits;
            needsOnlyScan &= row.NeedsOnlyScan;
        }
        KernelArgument argument = KernelArgument.Struct(&step);
        Dim3 slices = new(step.Slices, rows.Length);
        int sliceBytes = hasEdits ? SliceBytes : 0;
        _scan.Launch(_stream, new LaunchShape(slices, ScanThreads, ScanBytes + sliceBytes), argument);
        if (!needsOnlyScan)
        {
            _weigh.Launch(_stream, new LaunchShape(slices, ScanThreads, WeighBytes + sliceBytes), argument);
            _choose.Launch(_stream, new LaunchShape(rows.Length, ChooseThreads, ChooseBytes), argument);
        }
    }
}
