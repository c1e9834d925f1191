using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Cuda.Memory;

namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// Chooses a token for each row of logits on the device, by the rules of the CPU's Sample. One copy goes up with the rows'
/// parameters, one comes back with token ids and the log-probabilities that were asked for.
/// </summary>
internal sealed unsafe class Sample : IDisposable
{
    private const int ScanThreads = 256;
    private const int ChooseThreads = 512;

    // Shared memory as sample_*.cu lay it out; rows with edits need a slice of logits and its counts besides.
    private const int SliceBytes = 2 * 4096 * 4;
    private const int ScanBytes = 8 * 8 + 8 * SamplingBatch.MaxTopLogProbs * 8 + 16;
    private const int WeighBytes = 8 * 5 * 8 + 16;
    private const int ChooseBytes = 2 * 3 * 1024 * 4 + SliceBytes + 16 * 24 + 64;

    private readonly CudaStream _stream;
    private readonly DevicePool _memory;
    private readonly CudaKernel _scan, _weigh, _choose;
    private readonly VerifyDraft? _verifyDraft;
    private readonly SamplingUpload _upload;
    private SamplingWorkspace? _workspace;

    /// <param name="kernel">A kernel by its file's name and its own.</param>
    /// <param name="verifyDraft">Null where no batch has drafts.</param>
    public Sample(CudaStream stream, DevicePool memory, Func<string, string, CudaKernel> kernel, VerifyDraft? verifyDraft = null)
    {
        _verifyDraft = verifyDraft;
        _stream = stream;
        _memory = memory;
        _upload = new SamplingUpload(stream);
        _scan = kernel("sample_scan.cu", "sample_scan");
        _weigh = kernel("sample_weigh.cu", "sample_weigh");
        _choose = kernel("sample_choose.cu", "sample_choose");
    }

    /// <summary>Makes room for so many rows. Memory that was reserved for fewer is not given back.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The vocabulary has more than 2²⁰ tokens.</exception>
    public void Reserve(int rows, int vocabularySize)
    {
        if (_workspace is null || rows > _workspace.Rows || vocabularySize > _workspace.VocabularySize)
        {
            int mostRows = Math.Max(rows, _workspace?.Rows ?? 0), widest = Math.Max(vocabularySize, _workspace?.VocabularySize ?? 0);
            _workspace?.Dispose();
            _workspace = null;
            _workspace = new SamplingWorkspace(_stream, _memory, mostRows, widest);
        }
    }

    /// <summary>Chooses, waits, and fills in the batch's results.</summary>
    public void Run(Tensor logits, SamplingBatch batch)
    {
        if (batch.Count > 0)
        {
            Enqueue(logits, batch);
            _stream.Synchronize();
            Read(batch);
        }
    }

    /// <summary>Queues the choice for at least one row. The results of an earlier batch must have been read.</summary>
    /// <param name="logits">[batch.Count, vocabulary] F32 on the device.</param>
    public void Enqueue(Tensor logits, SamplingBatch batch)
    {
        foreach (ref readonly SamplingRow row in batch.Rows)
        {
            // What a kernel would read or write out of bounds.
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row.TargetId, logits.Columns, nameof(batch));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(row.TopLogProbs, SamplingBatch.MaxTopLogProbs, nameof(batch));
        }
        Reserve(batch.Count, logits.Columns);
        _upload.Write(batch.Rows);
        SamplingStep step = _workspace!.Step(logits, _upload);
        Launch(step);
        _stream.CopyToHost((void*)_workspace.HostResults.Handle, step.Results, (long)_upload.ResultLength * sizeof(int));
        if (batch.Drafts is { } drafts)
        {
            _verifyDraft!.Enqueue(step.Results, drafts);
        }
    }

    /// <summary>Fills in the results of the batch that was queued last; the stream has got there.</summary>
    public void Read(SamplingBatch batch)
    {
        ReadOnlySpan<int> results = MemoryMarshal.Cast<byte, int>(_workspace!.HostResults.Span)[.._upload.ResultLength];
        ReadOnlySpan<float> numbers = MemoryMarshal.Cast<int, float>(results);
        results[..batch.Count].CopyTo(batch.TokenIds);
        if (batch.Drafts is { } drafts)
        {
            _verifyDraft!.Read(drafts);
        }
        for (int i = 0; i < batch.Count; i++)
        {
            SamplingRowData row = _upload.Rows[i];
            if (row.LogProb >= 0)
            {
                batch.LogProbs[i] = numbers[row.LogProb];
            }
            results.Slice(row.Tops, row.TopLogProbs).CopyTo(batch.TopIds(i));
            numbers.Slice(row.Tops + row.TopLogProbs, row.TopLogProbs).CopyTo(batch.TopLogProbs(i));
        }
    }

    public void Dispose()
    {
        _upload.Dispose();
        _workspace?.Dispose();
    }

    private void Launch(SamplingStep step)
    {
        bool hasEdits = false, needsOnlyScan = true;
        foreach (ref readonly SamplingRowData row in _upload.Rows)
        {
            hasEdits |= row.HasEdits;
            needsOnlyScan &= row.NeedsOnlyScan;
        }
        KernelArgument argument = KernelArgument.Struct(&step);
        Dim3 slices = new(step.Slices, _upload.Rows.Length);
        int sliceBytes = hasEdits ? SliceBytes : 0;
        _scan.Launch(_stream, new LaunchShape(slices, ScanThreads, ScanBytes + sliceBytes), argument);
        if (!needsOnlyScan)
        {
            _weigh.Launch(_stream, new LaunchShape(slices, ScanThreads, WeighBytes + sliceBytes), argument);
            _choose.Launch(_stream, new LaunchShape(_upload.Rows.Length, ChooseThreads, ChooseBytes), argument);
        }
    }
}
