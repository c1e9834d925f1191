using System.Diagnostics;

namespace LlamaServe.Bench.Gpu;

/// <summary>Runs workers, one after the other, until all parts are measured or have failed.</summary>
/// <param name="program">The worker's executable.</param>
/// <param name="arguments">Of the next worker.</param>
/// <param name="patience">How long a part may take.</param>
/// <param name="end">When what is left is given up.</param>
internal sealed class GpuSupervisor(string program, Func<IReadOnlyList<string>> arguments, GpuJournal journal, TimeSpan patience, GpuDeadline end)
{
    private bool _wantsAnother;

    /// <returns>False where a worker ended before it began a part.</returns>
    public bool Run()
    {
        while (true)
        {
            string? trouble = RunWorker();
            if (journal.Open is { } part)
            {
                journal.Add(new GpuRow(part, "") { Note = $"{GpuRow.Failed}: {trouble}" });
                journal.Finish(part);
                if (end.IsOver)
                {
                    return true;
                }
            }
            else if (trouble is not null)
            {
                Console.WriteLine($"THE OTHER ROWS ARE NOT MEASURED: {trouble}");
                return false;
            }
            else if (!_wantsAnother)
            {
                return true;
            }
        }
    }

    /// <returns>What went wrong, unless the worker says that it ended as it should.</returns>
    private string? RunWorker()
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments()))!;
        Stopwatch silence = Stopwatch.StartNew();
        long length = -1;
        while (!process.WaitForExit(TimeSpan.FromMilliseconds(100)))
        {
            long now = File.Exists(journal.Path) ? new FileInfo(journal.Path).Length : 0;
            if (now != length)
            {
                length = now;
                silence.Restart();
            }
            if (silence.Elapsed > patience || end.IsOver)
            {
                process.Kill(entireProcessTree: true);
                process.WaitForExit();
                return end.IsOver ? "the time is over" : $"nothing came of it for {patience.TotalSeconds:F0} s";
            }
        }
        _wantsAnother = process.ExitCode == GpuWorker.Restart;
        return process.ExitCode is 0 or GpuWorker.Restart ? null : $"the process ended with {process.ExitCode}";
    }
}
