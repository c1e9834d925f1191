namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// Packs a row of floating-point weights, F16 and BF16 as they are, F32 as BF16, rounded to nearest even. A chunk is 32 columns: two
/// tiles of sixteen, in which lane 4·(row % 8) + c has the pairs of columns 2c and 2c + 8.
/// </summary>
internal static unsafe class FloatPacker
{
    private const int Columns = 32, TileColumns = 16;

    /// <param name="row">Row of the block of 128.</param>
    public static void PackRow(WeightRow source, int row, byte* block)
    {
        byte* elements = source.Elements;
        int strip = row / MatMulLayout.StripRows, half = row / 8 % 2;
        for (int column = 0; column < source.Data.Columns; column++)
        {
            byte* chunk = block + (long)(column / Columns) * MatMulLayout.PackedBytes;
            int tile = column / TileColumns % 2, pair = column % TileColumns / 2;
            int lane = row % 8 * 4 + pair % 4, register = half + 2 * (pair / 4);
            ushort* to = (ushort*)(chunk + ((strip * 2 + tile) * 32 + lane) * 16 + register * 4);
            to[column % 2] = source.Data.Format == WeightFormat.F32 ? Bf16.Round(((float*)elements)[column]) : ((ushort*)elements)[column];
        }
    }
}
