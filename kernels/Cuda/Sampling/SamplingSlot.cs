using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>One of two steps under way: its rows on their way up, the end of its work, and where its results come down.</summary>
/// <param name="index">0 or 1.</param>
internal sealed class SamplingSlot(CudaStream stream, int index) : IDisposable
{
    public SamplingUpload Upload { get; } = new(stream);

    /// <summary>Rows of the step; 0 for one that samples nothing.</summary>
    public int Rows { get; set; }

    private readonly CudaEvent _done = new(stream.Context);

    /// <summary>Index of its first result.</summary>
    public int FirstResult(SamplingWorkspace workspace) => index * workspace.ResultLength;

    /// <summary>All work that has been queued so far is the step's.</summary>
    public void End() => _done.Record(stream);

    /// <summary>Waits for the step.</summary>
    public void Wait() => _done.Synchronize();

    /// <summary>Fills in the results of the step, which is done.</summary>
    public void Read(SamplingWorkspace workspace, SamplingBatch batch)
    {
        ReadOnlySpan<int> results = MemoryMarshal.Cast<byte, int>(workspace.HostResults.Span).Slice(FirstResult(workspace), Upload.ResultLength);
        ReadOnlySpan<float> numbers = MemoryMarshal.Cast<int, float>(results);
        results[..batch.Count].CopyTo(batch.TokenIds);
        for (int i = 0; i < batch.Count; i++)
        {
            SamplingRowData row = Upload.Rows[i];
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
        Upload.Dispose();
        _done.Dispose();
    }
}
