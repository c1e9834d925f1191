using LlamaServe.Kernels.Cuda;

namespace LlamaServe.Bench.Gpu;

/// <summary>
/// Measures, in a process of its own: a kernel that faults takes the device from the whole process, and one that hangs never comes
/// back. <see cref="GpuSupervisor"/> starts it anew behind such a part.
/// </summary>
internal sealed class GpuWorker(GpuOptions options, GpuJournal journal)
{
    /// <summary>Exit code: a part failed, and the parts behind it want a fresh process.</summary>
    public const int Restart = 3;

    /// <summary>Beside the pool of weights and caches: activations of the largest products, and the driver.</summary>
    private const long ReservedBytes = 12L << 30;

    public GpuOptions Options => options;

    public GpuJournal Journal => journal;

    public GpuDeadline Deadline { get; } = new(options.TimeLimit);

    public GpuLimits Limits { get; private set; } = null!;

    /// <summary>The parts of <see cref="GpuOptions.Stages"/> that the journal does not have.</summary>
    /// <returns>The exit code.</returns>
    public async Task<int> RunAsync()
    {
        IReadOnlyList<GpuNote> known = journal.Notes;
        Limits = known.Select(note => note.Limits).FirstOrDefault(limits => limits is not null) ?? MeasureLimits();
        HashSet<string> begun = [.. known.Select(note => note.Begun).OfType<string>()];
        foreach (GpuPart part in GpuParts.Of(options).Where(part => options.Stages.Contains(part.Stage) && !begun.Contains(part.Name)))
        {
            await MeasureAsync(part);
            if (journal.HasFailures)
            {
                return Restart;
            }
        }
        return 0;
    }

    /// <summary>Measures kernels on a backend of their own.</summary>
    public void MeasureKernels(string name, Action<KernelBench> measure)
    {
        if (Deadline.IsOver)
        {
            journal.Add(new GpuRow(name, "") { Note = GpuRow.NoTime });
            return;
        }
        using CudaBackend backend = new(new CudaBackendOptions { Emulated = options.IsEmulated, Ordinal = options.Ordinal, ReservedBytes = ReservedBytes });
        using GpuClock clock = new(backend.Runtime, options.Tiny);
        measure(new KernelBench(backend, clock, Limits, journal));
    }

    private async Task MeasureAsync(GpuPart part)
    {
        journal.Begin(part.Name);
        try
        {
            await part.Measure(this);
        }
        catch (Exception exception)
        {
            // Whatever it is, the other parts are worth having.
            journal.Add(new GpuRow(part.Name, "") { Note = $"{GpuRow.Failed}: {exception.Message}" });
        }
        journal.Finish(part.Name);
        Console.WriteLine($"[{part.Stage}] {part.Name}");
    }

    private GpuLimits MeasureLimits()
    {
        GpuLimits limits = GpuLimits.Measure(options);
        journal.Add(limits);
        Console.WriteLine(limits);
        return limits;
    }
}
