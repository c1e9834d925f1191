namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// Packs a row of floating-point weights as BF16, rounded to nearest even. A chunk is 32 columns: two tiles of sixteen, in which lane
/// 4·(row % 8) + c has the pairs of columns 2c and 2c + 8.
/// </summary>
internal static unsafe class BFloat16Packer
{
    private const int Columns = 32, TileColumns = 16;

    /// <param name="format">F32, F16 or BF16.</param>
    /// <param name="row">Row of the block of 128.</param>
    public static void PackRow(WeightFormat format, byte* source, int columns, int row, byte* block)
    {
        int strip = row / MatMulLayout.StripRows, half = row / 8 % 2;
        for (int column = 0; column < columns; column++)
        {
            byte* chunk = block + (long)(column / Columns) * MatMulLayout.PackedBytes;
            int tile = column / TileColumns % 2, pair = column % TileColumns / 2;
            int lane = row % 8 * 4 + pair % 4, register = half + 2 * (pair / 4);
            ushort* to = (ushort*)(chunk + ((strip * 2 + tile) * 32 + lane) * 16 + register * 4);
            to[column % 2] = Element(format, source, column);
        }
    }

    private static ushort Element(WeightFormat format, byte* source, int column) => format switch
    {
        WeightFormat.BF16 => ((ushort*)source)[column],
        WeightFormat.F16 => Bf16.Round((float)((Half*)source)[column]),
        _ => Bf16.Round(((float*)source)[column]),
    };
}
