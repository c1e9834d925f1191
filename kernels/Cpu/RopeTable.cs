namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// Cosines and sines of all positions met so far, computed in double precision. A position's row has HeadDim cosines, then
/// HeadDim sines, one for each element of a head:
/// <code>
/// HalfSplit:    cos θ0 .. cos θ(h−1), cos θ0 .. cos θ(h−1) | −sin θ0 .. −sin θ(h−1), sin θ0 .. sin θ(h−1)
/// Interleaved:  cos θ0, cos θ0, cos θ1, cos θ1, ..         | −sin θ0, sin θ0, −sin θ1, sin θ1, ..
/// </code>
/// so that in both styles element i becomes x[i] · cos[i] + x[partner of i] · sin[i].
/// </summary>
internal sealed unsafe class RopeTable(RopeParameters parameters) : IDisposable
{
    /// <summary>Positions computed together: the first page is large so that most sequences never meet a second.</summary>
    private const int PositionsPerPage = 2048;

    private readonly List<AlignedBuffer> _pages = [];
    private readonly int _headDim = 2 * parameters.InverseFrequencies.Length;

    public RopeParameters Parameters { get; } = parameters;

    /// <summary>Computes what is missing up to and with <paramref name="position"/>.</summary>
    public void Cover(int position)
    {
        while (position >= (long)_pages.Count * PositionsPerPage)
        {
            _pages.Add(ComputePage(_pages.Count * PositionsPerPage));
        }
    }

    /// <summary>[HeadDim] cosines of a covered position; its sines follow.</summary>
    public float* Row(int position) =>
        _pages[position / PositionsPerPage].Floats + (long)(position % PositionsPerPage) * 2 * _headDim;

    public void Dispose() => _pages.ForEach(page => page.Dispose());

    private AlignedBuffer ComputePage(int firstPosition)
    {
        AlignedBuffer page = new((long)PositionsPerPage * 2 * _headDim * sizeof(float));
        bool interleaved = Parameters.Style == RopeStyle.Interleaved;
        int pairs = _headDim / 2;
        for (int p = 0; p < PositionsPerPage; p++)
        {
            float* cosines = page.Floats + (long)p * 2 * _headDim;
            float* sines = cosines + _headDim;
            for (int i = 0; i < pairs; i++)
            {
                (double sin, double cos) = Math.SinCos((firstPosition + p) * Parameters.InverseFrequencies[i]);
                int first = interleaved ? 2 * i : i, second = interleaved ? 2 * i + 1 : i + pairs;
                cosines[first] = cosines[second] = (float)cos;
                sines[first] = (float)-sin;
                sines[second] = (float)sin;
            }
        }
        return page;
    }
}
