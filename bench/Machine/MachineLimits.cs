namespace LlamaServe.Bench.Machine;

/// <summary>What no engine can exceed on this machine, measured.</summary>
/// <param name="Threads">Threads it was measured with.</param>
/// <param name="ReadBytesPerSecond">Memory read bandwidth.</param>
/// <param name="Int8MultiplyAddsPerSecond">Peak of int8 multiply-adds; null where it cannot be measured.</param>
internal sealed record MachineLimits(int Threads, double ReadBytesPerSecond, double? Int8MultiplyAddsPerSecond)
{
    public static MachineLimits Measure(int threads) => new(threads, ReadBandwidth.Measure(threads), Int8Peak.Measure(threads));

    /// <summary>The better of two measurements: whatever else the machine does can only make them worse.</summary>
    public MachineLimits Best(MachineLimits other) => this with
    {
        ReadBytesPerSecond = Math.Max(ReadBytesPerSecond, other.ReadBytesPerSecond),
        Int8MultiplyAddsPerSecond = Int8MultiplyAddsPerSecond is { } peak ? Math.Max(peak, other.Int8MultiplyAddsPerSecond ?? 0) : null,
    };

    public override string ToString() =>
        $"{Threads} threads read {ReadBytesPerSecond / 1e9:F1} GB/s and do "
        + (Int8MultiplyAddsPerSecond is { } peak ? $"{peak / 1e9:F0} G int8 multiply-adds/s" : "an unknown number of int8 multiply-adds/s");
}
