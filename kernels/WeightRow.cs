namespace LlamaServe.Kernels;

/// <summary>A row of a stored matrix, with the scales and zero points beside it.</summary>
internal readonly unsafe record struct WeightRow(WeightData Data, int Index)
{
    public byte* Elements => (byte*)Data.Address + Index * Data.Format.Bytes(Data.Columns);

    /// <summary>[Data.Groups], of formats that have them.</summary>
    public ReadOnlySpan<float> Scales => new((float*)Data.Scales + (long)Index * Data.Groups, Data.Groups);

    /// <summary>[Data.Groups], or empty.</summary>
    public ReadOnlySpan<byte> ZeroPoints => Data.ZeroPoints == 0 ? [] : new((byte*)Data.ZeroPoints + (long)Index * Data.Groups, Data.Groups);

    /// <summary>Row <paramref name="row"/> of the stacked parts.</summary>
    public static WeightRow Of(ReadOnlySpan<WeightData> parts, int row)
    {
        int part = 0;
        for (; row >= parts[part].Rows; part++)
        {
            row -= parts[part].Rows;
        }
        return new WeightRow(parts[part], row);
    }

    /// <summary>Rows of all parts.</summary>
    /// <exception cref="OverflowException">They are too many.</exception>
    public static int Count(ReadOnlySpan<WeightData> parts)
    {
        int rows = 0;
        foreach (WeightData part in parts)
        {
            rows = checked(rows + part.Rows);
        }
        return rows;
    }
}
