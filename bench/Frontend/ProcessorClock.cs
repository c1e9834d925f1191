using System.Globalization;

namespace LlamaServe.Bench.Frontend;

/// <summary>
/// The processors' time since it was made: this process's, and what others took. A pause in which the collecting thread has to
/// wait for another process's is long without any work of the collector's.
/// </summary>
internal sealed class ProcessorClock
{
    private const string LinuxFile = "/proc/stat";
    private const double TicksPerSecond = 100;

    // Of the first line, "cpu user nice system idle iowait irq softirq steal ...", all but what is idle.
    private static readonly int[] BusyColumns = [1, 2, 3, 6, 7, 8];

    private readonly double? _busy = BusySeconds();
    private readonly double _own = OwnSeconds;

    /// <summary>Seconds of processor time, over all cores.</summary>
    public double Own => OwnSeconds - _own;

    /// <summary>
    /// The part of the machine that neither this process nor <paramref name="clients"/> had, of what all processors have; null
    /// where the system does not say.
    /// </summary>
    /// <param name="clients">Processor time of the clients' process, in seconds.</param>
    /// <param name="seconds">How long it was measured.</param>
    public double? OthersShare(double clients, double seconds) =>
        BusySeconds() - _busy is { } busy ? Math.Max(0, busy - Own - clients) / (seconds * Environment.ProcessorCount) : null;

    private static double OwnSeconds => Environment.CpuUsage.TotalTime.TotalSeconds;

    private static double? BusySeconds()
    {
        if (!File.Exists(LinuxFile))
        {
            return null;
        }

        string[] columns = File.ReadLines(LinuxFile).First().Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return BusyColumns.Sum(column => double.Parse(columns[column], CultureInfo.InvariantCulture)) / TicksPerSecond;
    }
}
