namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// In how many runs a matrix's columns are summed apart, so that one token's product fills the device. Decided once, from the
/// matrix's shape and the device.
/// </summary>
/// <remarks>
/// A model of the time of a product with few tokens, in units of what a CTA needs for a chunk while all share the memory's
/// bandwidth: <c>chunks of a CTA · max(0.4, CTAs / those that fit)</c> for each wave (below 0.4 latency limits a CTA), 2 for a wave
/// to begin, 3 + splits / 4 to bring the splits together. Not measured yet.
/// </remarks>
internal static class SplitCount
{
    private const int MaxSplits = 32;

    /// <summary>Resident CTAs of one SM.</summary>
    private const int CtasPerMultiprocessor = 2;

    private const double LatencyBound = 0.4, WaveBegin = 2, Reduction = 3, ReductionPerSplit = 0.25;

    /// <param name="blocks">Blocks of rows, each with CTAs of its own.</param>
    /// <param name="chunks">Chunks of a row, at least 1.</param>
    public static int Choose(int blocks, int chunks, int multiprocessors)
    {
        int best = 1;
        for (int splits = 2; splits <= Math.Min(chunks, MaxSplits); splits++)
        {
            if (Cost(blocks, chunks, splits, multiprocessors) < Cost(blocks, chunks, best, multiprocessors))
            {
                best = splits;
            }
        }
        return best;
    }

    private static double Cost(int blocks, int chunks, int splits, int multiprocessors)
    {
        double cost = splits == 1 ? 0 : Reduction + ReductionPerSplit * splits;
        int slots = multiprocessors * CtasPerMultiprocessor, own = (chunks + splits - 1) / splits;
        (int waves, int last) = Math.DivRem(blocks * splits, slots);
        cost += waves * (WaveBegin + own);
        return last == 0 ? cost : cost + WaveBegin + own * Math.Max(LatencyBound, (double)last / slots);
    }
}
