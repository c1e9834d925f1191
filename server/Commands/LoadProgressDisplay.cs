using System.Diagnostics;
using LlamaServe.Models;

namespace LlamaServe.Server.Commands;

/// <summary>Shows how far loading is: a bar on a terminal, a line now and then elsewhere. Also where loading is stopped.</summary>
/// <param name="cancellationToken">Makes the loader's next report throw.</param>
internal sealed class LoadProgressDisplay(TextWriter output, bool isTerminal, string name, CancellationToken cancellationToken)
    : IProgress<LoadProgress>
{
    private const int BarWidth = 30;

    private static readonly TimeSpan BarInterval = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan LineInterval = TimeSpan.FromSeconds(5);

    private readonly Stopwatch _total = Stopwatch.StartNew();
    private TimeSpan _last;
    private bool _isInLine;

    public void Report(LoadProgress value)
    {
        cancellationToken.ThrowIfCancellationRequested();
        bool isDone = value.BytesDone >= value.BytesTotal;
        if (!isDone && _total.Elapsed - _last < (isTerminal ? BarInterval : LineInterval))
        {
            return;
        }
        _last = _total.Elapsed;
        double fraction = value.BytesTotal > 0 ? (double)value.BytesDone / value.BytesTotal : 1;
        string text = $"{fraction,4:P0} of {value.BytesTotal / 1e6:F1} MB, {_total.Elapsed.TotalSeconds:F1} s";
        if (isTerminal)
        {
            int filled = (int)(fraction * BarWidth);
            _isInLine = !isDone;
            output.Write($"\rLoading {name} [{new string('#', filled)}{new string('.', BarWidth - filled)}] {text} {(isDone ? Environment.NewLine : "")}");
        }
        else
        {
            output.WriteLine($"Loading {name}: {text}");
        }
    }

    /// <summary>Ends the line of a bar that stopped half-way.</summary>
    public void End()
    {
        if (_isInLine)
        {
            output.WriteLine();
        }
    }
}
