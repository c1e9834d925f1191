using LlamaServe.Engine.Execution;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Text;
using LlamaServe.Kernels;

namespace LlamaServe.Engine.Tests.Support;

/// <summary>A device that computes nothing and always chooses token 5: what is left is the engine.</summary>
internal sealed class NullModelRunner(Action beforeStep) : IModelRunner
{
    private readonly SamplingBatch _sampling = new(512);

    public RunnerCapacity Capacity { get; } = new(1000, 1024, 8192, []);

    public SamplingBatch Execute(StepPlan plan)
    {
        beforeStep();
        plan.Copies.Clear();
        SamplingRows.Fill(plan, _sampling);
        _sampling.TokenIds.Fill(5);
        return _sampling;
    }

    public ITextDecoder CreateTextDecoder() => new ConstantDecoder();

    public void Dispose()
    {
    }

    private sealed class ConstantDecoder : ITextDecoder
    {
        public string Append(int tokenId) => "five ";

        public string Flush() => "";
    }
}
