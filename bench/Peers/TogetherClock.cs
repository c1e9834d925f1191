using System.Diagnostics;

namespace LlamaServe.Bench.Peers;

/// <summary>
/// Times sequences that decode together: from the moment when the last of them has its first token until
/// <paramref name="wanted"/> tokens of any of them have followed.
/// </summary>
internal sealed class TogetherClock(int sequences, int wanted)
{
    private readonly Lock _lock = new();
    private int _decoding;
    private int _counted;
    private long _start;
    private long _end;

    /// <exception cref="InvalidOperationException">The sequences ended before enough tokens had come.</exception>
    public double TokensPerSecond => _end != 0
        ? wanted / Stopwatch.GetElapsedTime(_start, _end).TotalSeconds
        : throw new InvalidOperationException($"Only {_counted} of {wanted} tokens came while {_decoding} of {sequences} sequences ran.");

    /// <summary>Takes note of a sequence's token.</summary>
    /// <param name="isFirst">Whether it is the sequence's first.</param>
    /// <returns>Whether enough have come.</returns>
    public bool IsDone(bool isFirst)
    {
        lock (_lock)
        {
            if (isFirst && ++_decoding == sequences)
            {
                _start = Stopwatch.GetTimestamp();
            }
            else if (!isFirst && _decoding == sequences && ++_counted == wanted)
            {
                _end = Stopwatch.GetTimestamp();
            }

            return _end != 0;
        }
    }
}
