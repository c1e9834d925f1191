using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// Decode steps as captured graphs, one a bucket of rows, so that the hundreds of launches of a step cost the host one. All that
/// varies between two steps of a bucket lies in device memory at fixed addresses and is brought there before the graph runs. A
/// bucket's first step runs launch by launch and makes what a capture must not (memory, modules); its second is captured.
/// </summary>
/// <param name="prepare">Checks a batch and brings its lists to the device for the operations that have run before.</param>
/// <param name="warn">Told once when steps cannot be captured; they run launch by launch then.</param>
internal sealed class StepGraphs(CudaRuntime runtime, StepArena arena, Action<ForwardBatch> prepare, Action<string>? warn) : IDisposable
{
    private readonly Bucket[] _buckets = new Bucket[DecodeBuckets.Largest + 1];
    private ForwardBatch? _batch;
    private Func<Tensor>? _forward;
    private int _addressVersion;
    private bool _isOff;

    /// <summary>Graphs that were launched; for tests.</summary>
    public long Replays { get; private set; }

    /// <summary>Runs a step: a decode step from its bucket's graph, once there is one.</summary>
    public Tensor Run(ForwardBatch batch, Func<Tensor> forward)
    {
        int bucket = batch.IsDecode && !_isOff ? DecodeBuckets.Of(batch.TokenCount) : 0;
        if (bucket == 0 || bucket > batch.MaxTokens)
        {
            return forward();
        }
        batch.Pad(bucket);
        try
        {
            return RunPadded(batch, forward, bucket) with { Rows = batch.SequenceCount };
        }
        finally
        {
            batch.Unpad();
        }
    }

    public void Dispose() => Forget();

    private Tensor RunPadded(ForwardBatch batch, Func<Tensor> forward, int index)
    {
        if (batch != _batch || forward != _forward)
        {
            Forget();
            (_batch, _forward) = (batch, forward);
        }
        ref Bucket bucket = ref _buckets[index];
        if (bucket.IsWarm)
        {
            prepare(batch);
            ForgetMoved();
        }
        if (bucket.IsWarm && bucket.Graph is null)
        {
            Capture(ref bucket, forward);
        }
        if (bucket.Graph is null)
        {
            Tensor logits = forward();
            ForgetMoved();
            bucket.IsWarm = true;
            return logits;
        }
        try
        {
            bucket.Graph.Launch(runtime.Stream);
        }
        catch (CudaException exception) when (!exception.IsLost)
        {
            GiveUp(exception);
            return forward();
        }
        Replays++;
        return bucket.Logits;
    }

    private void Capture(ref Bucket bucket, Func<Tensor> forward)
    {
        try
        {
            runtime.Stream.BeginCapture();
            try
            {
                bucket.Logits = forward();
            }
            catch
            {
                runtime.Stream.AbandonCapture();
                throw;
            }
            using CudaGraph graph = runtime.Stream.EndCapture();
            bucket.Graph = new CudaGraphExec(graph);
        }
        catch (CudaException exception) when (!exception.IsLost)
        {
            GiveUp(exception);
        }
    }

    /// <summary>Out of memory, for one: the first launch of a graph takes some as well.</summary>
    private void GiveUp(CudaException exception)
    {
        _isOff = true;
        Forget();
        arena.ResetStep();
        warn?.Invoke($"Decode steps run without CUDA graphs: {exception.Message}");
    }

    /// <summary>Forgets graphs that name memory which has been replaced since.</summary>
    private void ForgetMoved()
    {
        if (runtime.AddressVersion != _addressVersion)
        {
            Forget();
            _addressVersion = runtime.AddressVersion;
        }
    }

    /// <summary>The driver keeps a graph that still runs until it is done.</summary>
    private void Forget()
    {
        foreach (ref Bucket bucket in _buckets.AsSpan())
        {
            bucket.Graph?.Dispose();
            bucket = default;
        }
    }

    /// <param name="Logits">What the captured operations return: rows of the bucket.</param>
    private record struct Bucket(CudaGraphExec? Graph, Tensor Logits, bool IsWarm);
}
