namespace LlamaServe.Bench.Machine;

/// <summary>What no engine can exceed on this machine, measured. Peaks are null where they cannot be measured.</summary>
/// <param name="Threads">Threads it was measured with.</param>
/// <param name="ReadBytesPerSecond">Memory read bandwidth.</param>
/// <param name="Int8MultiplyAddsPerSecond">Peak of int8 multiply-adds.</param>
/// <param name="BFloat16MultiplyAddsPerSecond">Of BF16, summed in F32.</param>
/// <param name="Float32MultiplyAddsPerSecond">Of F32.</param>
internal sealed record MachineLimits(
    int Threads,
    double ReadBytesPerSecond,
    double? Int8MultiplyAddsPerSecond,
    double? BFloat16MultiplyAddsPerSecond,
    double? Float32MultiplyAddsPerSecond)
{
    public static MachineLimits Measure(int threads) => new(
        threads,
        ReadBandwidth.Measure(threads),
        ProcessorPeak.Measure(Arithmetic.Int8, threads),
        ProcessorPeak.Measure(Arithmetic.BFloat16, threads),
        ProcessorPeak.Measure(Arithmetic.Float32, threads));

    /// <summary>Multiply-adds a second; null where they could not be measured.</summary>
    public double? Peak(Arithmetic arithmetic) => arithmetic switch
    {
        Arithmetic.Int8 => Int8MultiplyAddsPerSecond,
        Arithmetic.BFloat16 => BFloat16MultiplyAddsPerSecond,
        _ => Float32MultiplyAddsPerSecond,
    };

    /// <summary>The better of two measurements: whatever else the machine does can only make them worse.</summary>
    public MachineLimits Best(MachineLimits other) => new(
        Threads,
        Math.Max(ReadBytesPerSecond, other.ReadBytesPerSecond),
        Best(Int8MultiplyAddsPerSecond, other.Int8MultiplyAddsPerSecond),
        Best(BFloat16MultiplyAddsPerSecond, other.BFloat16MultiplyAddsPerSecond),
        Best(Float32MultiplyAddsPerSecond, other.Float32MultiplyAddsPerSecond));

    public override string ToString() =>
        $"{Threads} threads read {ReadBytesPerSecond / 1e9:F1} GB/s and do {Count(Int8MultiplyAddsPerSecond)} int8, "
        + $"{Count(BFloat16MultiplyAddsPerSecond)} BF16, {Count(Float32MultiplyAddsPerSecond)} F32 multiply-adds/s";

    private static double? Best(double? one, double? other) => one is { } peak ? Math.Max(peak, other ?? 0) : null;

    private static string Count(double? peak) => peak is { } known ? $"{known / 1e9:F0} G" : "an unknown number of";
}
