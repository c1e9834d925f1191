using BenchmarkDotNet.Attributes;

namespace LlamaServe.Bench.Micro;

/// <summary>
/// Benchmarks beside a fixed piece of work that no change of this repository touches. It is measured anew next to each of them, so
/// that the ratio of the two says more about the code than about the machine, its clock and its other work.
/// </summary>
[MemoryDiagnoser]
public abstract class CalibratedBenchmarks
{
    private const int Words = 2048;

    private readonly ulong[] _source = [.. Enumerable.Range(1, Words).Select(i => (ulong)i * 0x9E3779B97F4A7C15)];
    private readonly ulong[] _copy = new ulong[Words];

    /// <summary>Hashes 16 KiB, one dependent multiplication a word, and copies them.</summary>
    [Benchmark(Baseline = true)]
    public ulong Calibration()
    {
        ulong hash = 0;
        foreach (ulong word in _source)
        {
            hash = (hash ^ word) * 0xFF51AFD7ED558CCD;
            hash ^= hash >> 33;
        }

        _source.CopyTo(_copy, 0);
        return hash ^ _copy[^1];
    }
}
