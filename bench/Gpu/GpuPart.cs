namespace LlamaServe.Bench.Gpu;

/// <summary>Some rows that are measured together; when one fails, a new process goes on behind the part.</summary>
/// <param name="Name">One of its own.</param>
internal sealed record GpuPart(GpuStage Stage, string Name, Func<GpuWorker, Task> Measure);
