using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using LlamaServe.Engine.Execution;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Text;
using LlamaServe.Kernels;

namespace LlamaServe.Bench.Simulation;

/// <summary>
/// Notes every step of one engine: its size from the runner that it wraps, its time, the host's part included, from the engine's own
/// measure. The engine gets both, <see cref="Around"/> and this as its factory of meters.
/// </summary>
internal sealed class StepRecorder : IMeterFactory
{
    private readonly MeterListener _listener = new();
    private readonly Queue<StepSize> _underWay = new();
    private readonly ConcurrentQueue<MeasuredStep> _steps = new();

    public StepRecorder()
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Name == "llamaserve.step.duration" && instrument.Meter.Scope == this)
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        // Called by the engine's thread, after the runner was.
        _listener.SetMeasurementEventCallback<double>((_, seconds, _, _) => _steps.Enqueue(new MeasuredStep(_underWay.Dequeue(), seconds)));
        _listener.Start();
    }

    /// <summary>Takes out what was noted since the last time, in the order of the steps.</summary>
    public MeasuredStep[] Take()
    {
        List<MeasuredStep> taken = [];
        while (_steps.TryDequeue(out MeasuredStep step))
        {
            taken.Add(step);
        }

        return [.. taken];
    }

    public IModelRunner Around(IModelRunner runner) => new RecordedRunner(runner, _underWay);

    public Meter Create(MeterOptions options)
    {
        options.Scope = this;
        return new Meter(options);
    }

    public void Dispose() => _listener.Dispose();

    private sealed class RecordedRunner(IModelRunner runner, Queue<StepSize> underWay) : IModelRunner
    {
        public RunnerCapacity Capacity => runner.Capacity;

        public bool Overlaps => runner.Overlaps;

        public void Submit(StepPlan plan)
        {
            StepSize size = StepSize.Of(plan);
            runner.Submit(plan);
            underWay.Enqueue(size);
        }

        public SamplingBatch Complete() => runner.Complete();

        public ITextDecoder CreateTextDecoder() => runner.CreateTextDecoder();

        public void Dispose() => runner.Dispose();
    }
}
