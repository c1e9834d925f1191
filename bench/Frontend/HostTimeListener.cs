using System.Diagnostics.Metrics;

namespace LlamaServe.Bench.Frontend;

/// <summary>Averages the engine's own measure of the host's time a step.</summary>
internal sealed class HostTimeListener : IDisposable
{
    private readonly MeterListener _listener = new();
    private double _seconds;
    private long _steps;

    public HostTimeListener()
    {
        _listener.InstrumentPublished = static (instrument, listener) =>
        {
            if (instrument.Name == "llamaserve.step.host_time")
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _listener.SetMeasurementEventCallback<double>((_, seconds, _, _) =>
        {
            _seconds += seconds;
            _steps++;
        });
        _listener.Start();
    }

    /// <summary>Steps since the last reset; written by the engine's thread alone.</summary>
    public long Steps => _steps;

    public double MeanMicroseconds => _steps == 0 ? 0 : 1e6 * _seconds / _steps;

    public void Reset() => (_seconds, _steps) = (0, 0);

    public void Dispose() => _listener.Dispose();
}
