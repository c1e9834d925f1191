namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// Rewrites rows whose scales lie beside them in the closest format that has panels. Scales become F16: exact for checkpoints' F16
/// scales, else off by 2⁻¹² of themselves, or below 6·10⁻⁵ by 3·10⁻⁸. What becomes F16 as a whole is off by as much.
/// </summary>
internal static unsafe class ScaledRow
{
    private const int BlockColumns = 32;

    /// <summary>The format of the panels that hold a matrix.</summary>
    public static WeightFormat PanelFormat(in WeightData data) => (data.Format, HasZeroPoints: data.ZeroPoints != 0) switch
    {
        (WeightFormat.Int4, false) => WeightFormat.Q4_0,
        // Q − zero has five bits.
        (WeightFormat.Int4, true) => WeightFormat.Q8_0,
        (WeightFormat.Int8, false) or (WeightFormat.Int8Dynamic, _) => WeightFormat.Q8_0,
        // Q − zero has nine.
        (WeightFormat.Int8, true) or (WeightFormat.Fp8, _) => WeightFormat.F16,
        _ => data.Format,
    };

    /// <param name="format">What <see cref="PanelFormat"/> says.</param>
    /// <param name="blocks">Receives the row's blocks; the last one may have more columns than the row.</param>
    public static void Convert(WeightRow row, WeightFormat format, byte* blocks)
    {
        int columns = row.Data.Columns;
        int* quants = stackalloc int[BlockColumns];
        for (int column = 0; column < columns; column += BlockColumns)
        {
            int count = Math.Min(BlockColumns, columns - column), group = row.Data.GroupSize == 0 ? 0 : column / row.Data.GroupSize;
            float scale = row.Scales[group];
            if (format == WeightFormat.F16)
            {
                WriteHalves(row, column, count, group, (Half*)blocks + column);
                continue;
            }
            for (int i = 0; i < BlockColumns; i++)
            {
                quants[i] = i < count ? Quant(row, column + i) - Zero(row, group) : 0;
            }
            byte* block = blocks + format.Bytes(column);
            *(Half*)block = (Half)scale;
            for (int i = 0; i < format.BlockBytes() - sizeof(Half); i++)
            {
                block[sizeof(Half) + i] = format == WeightFormat.Q8_0
                    ? (byte)quants[i]
                    : (byte)((quants[i] + 8) | (quants[i + BlockColumns / 2] + 8) << 4);
            }
        }
    }

    private static void WriteHalves(WeightRow row, int column, int count, int group, Half* halves)
    {
        float scale = row.Scales[group];
        for (int i = 0; i < count; i++)
        {
            float element = row.Data.Format == WeightFormat.Fp8
                ? E4M3.Widen(row.Elements[column + i])
                : Quant(row, column + i) - Zero(row, group);
            halves[i] = (Half)(scale * element);
        }
    }

    private static int Quant(WeightRow row, int column) => row.Data.Format switch
    {
        WeightFormat.Int4 => row.Elements[column / 2] >> (column % 2 * 4) & 15,
        WeightFormat.Int8 when !row.ZeroPoints.IsEmpty => row.Elements[column],
        _ => (sbyte)row.Elements[column],
    };

    private static int Zero(WeightRow row, int group) =>
        row.ZeroPoints.IsEmpty ? (row.Data.Format == WeightFormat.Int4 ? 8 : 0) : row.ZeroPoints[group];
}
