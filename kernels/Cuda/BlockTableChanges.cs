namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// What block tables on the device hold, and what has to be sent to make them those of a step. Tables grow at their end, so a
/// steady decode step sends a few words where all tables together take megabytes.
/// </summary>
internal sealed class BlockTableChanges(int sequences, int blocksPerSequence)
{
    private readonly int[] _sent = new int[checked(sequences * blocksPerSequence)];
    private readonly int[] _counts = new int[sequences];

    /// <summary>The end of a table that the device does not have; counts it as sent.</summary>
    /// <param name="row">The table's row on the device.</param>
    /// <param name="first">Index of the first block of the result.</param>
    public ReadOnlySpan<int> Take(int row, ReadOnlySpan<int> table, out int first)
    {
        Span<int> sent = _sent.AsSpan(row * blocksPerSequence, blocksPerSequence);
        first = table.CommonPrefixLength(sent[.._counts[row]]);
        ReadOnlySpan<int> changed = table[first..];
        changed.CopyTo(sent[first..]);
        // What lay behind a shorter table still does.
        _counts[row] = Math.Max(_counts[row], table.Length);
        return changed;
    }

    /// <summary>Takes nothing for granted any more.</summary>
    public void Forget() => Array.Clear(_counts);
}
