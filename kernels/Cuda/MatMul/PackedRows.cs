namespace LlamaServe.Kernels.Cuda;

/// <summary>Which rows of checkpoint matrices a packed one holds: all, one part after the other, or gates and ups in turns.</summary>
internal sealed class PackedRows
{
    /// <summary>Of so many gates and as many ups, so that one thread of mma.m16n8 has both of an element.</summary>
    private const int Interleaved = 8;

    private readonly WeightData[] _parts;
    private readonly WeightData[] _ups;

    /// <summary>Parts stacked.</summary>
    public PackedRows(ReadOnlySpan<WeightData> parts)
        : this(parts, [])
    {
    }

    /// <summary>Eight rows of <paramref name="gates"/>, eight of <paramref name="ups"/>, and so on.</summary>
    public PackedRows(ReadOnlySpan<WeightData> gates, ReadOnlySpan<WeightData> ups)
    {
        _parts = [.. gates];
        _ups = [.. ups];
        Outputs = WeightRow.Count(gates);
        Count = PackedCount(Outputs, IsGated);
    }

    public bool IsGated => _ups.Length > 0;

    /// <summary>One of the parts; all have one layout.</summary>
    public WeightData First => _parts[0];

    /// <summary>Rows of a product's result.</summary>
    public int Outputs { get; }

    /// <summary>Rows, missing ones between the others included.</summary>
    public int Count { get; }

    /// <summary>A row, or null where there is none.</summary>
    public WeightRow? this[int index]
    {
        get
        {
            int row = IsGated ? index / (2 * Interleaved) * Interleaved + index % Interleaved : index;
            return row >= Outputs ? null : WeightRow.Of(IsGated && index / Interleaved % 2 == 1 ? _ups : _parts, row);
        }
    }

    public static int PackedCount(int outputs, bool isGated) =>
        isGated ? checked((outputs + Interleaved - 1) / Interleaved * 2 * Interleaved) : outputs;
}
