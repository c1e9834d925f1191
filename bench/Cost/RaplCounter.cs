using System.Globalization;

namespace LlamaServe.Bench.Cost;

/// <summary>Energy of the processor packages, from Linux's powercap folders. Wraps of a counter are made up for if it is read between them.</summary>
internal sealed class RaplCounter : IEnergyCounter
{
    private readonly Zone[] _zones;

    private RaplCounter(Zone[] zones) => _zones = zones;

    public string Name => "CPU packages (RAPL)";

    public double Joules => _zones.Sum(zone => zone.Read()) / 1e6;

    /// <param name="root">/sys/class/powercap, or a folder like it.</param>
    /// <returns>null where there is none, or it may not be read (most virtual machines; elsewhere only root may).</returns>
    public static RaplCounter? TryOpen(string root = "/sys/class/powercap")
    {
        if (!Directory.Exists(root))
        {
            return null;
        }

        try
        {
            // Packages only: intel-rapl:0, not their parts intel-rapl:0:0.
            Zone[] zones = [.. Directory.GetDirectories(root, "intel-rapl:*").Where(path => Path.GetFileName(path).Count(c => c == ':') == 1).Select(path => new Zone(path))];
            return zones.Length == 0 ? null : new RaplCounter(zones);
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or IOException or FormatException)
        {
            return null;
        }
    }

    private sealed class Zone
    {
        private readonly string _counter;
        private readonly double _range;
        private double _total;
        private double _last;

        public Zone(string folder)
        {
            _counter = Path.Combine(folder, "energy_uj");
            _range = Value(Path.Combine(folder, "max_energy_range_uj"));
            _last = Value(_counter);
        }

        /// <summary>Microjoules since it was opened.</summary>
        public double Read()
        {
            double now = Value(_counter);
            _total += now - _last + (now < _last ? _range : 0);
            _last = now;
            return _total;
        }

        private static double Value(string path) => double.Parse(File.ReadAllText(path), CultureInfo.InvariantCulture);
    }
}
