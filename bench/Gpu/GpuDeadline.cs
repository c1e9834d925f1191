using System.Diagnostics;

namespace LlamaServe.Bench.Gpu;

/// <summary>The time that a run has.</summary>
internal sealed class GpuDeadline(TimeSpan limit)
{
    private readonly Stopwatch _watch = Stopwatch.StartNew();

    public TimeSpan Passed => _watch.Elapsed;

    public TimeSpan Left => limit > _watch.Elapsed ? limit - _watch.Elapsed : TimeSpan.Zero;

    public bool IsOver => Left == TimeSpan.Zero;
}
