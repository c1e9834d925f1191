using LlamaServe.Kernels;

namespace LlamaServe.Bench.Gpu;

/// <summary>Everything that a run measures, the most important first.</summary>
internal static class GpuParts
{
    public static IEnumerable<GpuPart> Of(GpuOptions options) =>
    [
        .. new GoalParts(options.Tiny).All,
        .. (options.Tiny ? ModelCases.Tiny : ModelCases.All).Select(modelCase =>
            new GpuPart(GpuStage.Models, modelCase.Name, worker => new ModelRows(worker).AddAsync(modelCase))),
        .. new OtherParts(options.Tiny).All,
    ];

    /// <summary>Rows that a backend of their own measures.</summary>
    public static GpuPart Kernels(GpuStage stage, string name, Action<KernelBench> measure) => new(stage, name, worker =>
    {
        worker.MeasureKernels(name, measure);
        return Task.CompletedTask;
    });

    /// <summary>A model's attention.</summary>
    public static AttentionShape Attention(GpuModel model, int headSize = 0, int window = 0)
    {
        int size = headSize == 0 ? model.Shape.HeadSize : headSize;
        return new AttentionShape(model.Shape.Heads, model.Shape.KvHeads, size, 1 / MathF.Sqrt(size), window);
    }
}
