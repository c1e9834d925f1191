using System.Diagnostics;
using LlamaServe.Engine;
using LlamaServe.Engine.Execution;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Text;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cuda;

namespace LlamaServe.Bench.Micro;

/// <summary>
/// A GPU without the GPU: builds what a step of Llama 3 8B on an H200 is started with (batch, attention plan, sampling rows), calls
/// no driver, and is done at once. It notes when each full decode step was started.
/// </summary>
internal sealed class HostStepRunner(EngineOptions options) : IModelRunner
{
    private const int Multiprocessors = 132, MaxPartialRows = 16384, Context = 2048;

    private static readonly AttentionShape Shape = new(32, 8, 128, 0.0884f, 0);

    private readonly ForwardBatch _batch = new(options.TokenBudget, options.MaxSequences, Context / options.BlockSize);
    private readonly SamplingBatch[] _samplings = [new(options.MaxSequences), new(options.MaxSequences)];
    private readonly int[] _attention = new int[AttentionPlanner.MaxWords(options.TokenBudget, options.MaxSequences, Shape.Heads / Shape.KvHeads)];
    private long _submitted, _completed, _last;

    public bool Overlaps => true;

    public RunnerCapacity Capacity { get; } = new(32_000, Context, options.MaxSequences * Context / options.BlockSize, []);

    /// <summary>Microseconds from the start of a decode step of all sequences to that of the next.</summary>
    public List<double> Microseconds { get; } = new(1 << 14);

    public void Submit(StepPlan plan)
    {
        bool isFull = plan.Count == options.MaxSequences && plan.PrefillTokens == 0;
        long now = Stopwatch.GetTimestamp();
        if (isFull && _last != 0)
        {
            Microseconds.Add(Stopwatch.GetElapsedTime(_last, now).TotalMicroseconds);
        }
        _last = isFull ? now : 0;
        plan.Copies.Clear();
        ModelRunner.Fill(plan, _batch, options.BlockSize);
        AttentionPlanner.Fill(_attention, _batch.QueryStart, _batch.ContextLengths, Shape, Multiprocessors, MaxPartialRows);
        SamplingBatch sampling = _samplings[_submitted++ % 2];
        SamplingRows.Fill(plan, sampling);
        sampling.TokenIds.Fill(5);
    }

    public SamplingBatch Complete() => _samplings[_completed++ % 2];

    public ITextDecoder CreateTextDecoder() => throw new NotSupportedException("the requests ask for no text");

    public void Dispose()
    {
    }
}
