using LlamaServe.Engine.Execution;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Text;
using LlamaServe.Kernels;

namespace LlamaServe.Engine.Tests.Support;

/// <summary>A device that computes nothing and always chooses token 5: what is left is the engine.</summary>
internal sealed class NullModelRunner(Action beforeStep, bool overlaps = false, int blocks = 8192, int hostBlocks = 0) : IModelRunner
{
    private readonly SamplingBatch[] _samplings = [new(512), new(512)];
    private int _submitted, _completed;

    public bool Overlaps => overlaps;

    public RunnerCapacity Capacity { get; } = new(1000, 1024, blocks, [], hostBlocks);

    public void Submit(StepPlan plan)
    {
        beforeStep();
        plan.Swaps?.Clear();
        plan.Copies.Clear();
        SamplingBatch sampling = _samplings[_submitted++ & 1];
        SamplingRows.Fill(plan, sampling);
        sampling.TokenIds.Fill(5);
    }

    public SamplingBatch Complete() => _samplings[_completed++ & 1];

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
