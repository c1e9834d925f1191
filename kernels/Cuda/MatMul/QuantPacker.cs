using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// Packs 32 quants of a row, one step of the kernels: two tiles of sixteen columns. In each, lane 4·(row % 8) + c has columns
/// 2c, 2c + 8, 2c + 1 and 2c + 9, one to a byte in INT8 formats; INT4 ones put row % 16 &lt; 8 into low and the others into high nibbles.
/// </summary>
internal static unsafe class QuantPacker
{
    private static Vector128<byte> LaneOrder => Vector128.Create((byte)0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);

    /// <param name="block">The checkpoint's block.</param>
    /// <param name="group">Group of the chunk: 0 or 1.</param>
    /// <param name="row">Row of the block of 128.</param>
    /// <param name="step">The weights of the row's strip in this step.</param>
    /// <param name="scales">The chunk's scales.</param>
    public static void PackQ8_0(byte* block, int group, int row, byte* step, byte* scales)
    {
        Vector128<byte> sign = Vector128.Create((byte)0x80); // q + 128 is q with its sign bit flipped
        PackInt8(Vector128.Load(block + 2) ^ sign, row, 0, step);
        PackInt8(Vector128.Load(block + 18) ^ sign, row, 1, step);
        ((ushort*)scales)[row * 2 + group] = Unsafe.ReadUnaligned<ushort>(block);
    }

    /// <param name="group">32 of the block's 256: 0 … 7.</param>
    public static void PackQ6_K(byte* block, int group, int row, byte* step, byte* scales)
    {
        // Two halves of 128, each four runs of 32: run r has nibble r / 2 of 32 bytes and bit pair r of 32 others.
        int half = group / 4, run = group % 4;
        byte* low = block + half * 64 + run % 2 * 32, high = block + 128 + half * 32;
        for (int tile = 0; tile < 2; tile++)
        {
            Vector128<byte> nibbles = Nibbles(low + tile * 16, run / 2);
            Vector128<byte> pairs = (Vector128.Load(high + tile * 16).AsUInt16() >>> (2 * run)).AsByte() & Vector128.Create((byte)3);
            Vector128<byte> q = nibbles | (pairs.AsUInt16() << 4).AsByte();
            PackInt8(q + Vector128.Create((byte)(128 - 32)), row, tile, step);
            scales[row * 4 + group % 2 * 2 + tile] = (byte)(block[192 + group * 2 + tile] ^ 0x80);
        }
        ((ushort*)(scales + MatMulLayout.BlockRows * 4))[row] = Unsafe.ReadUnaligned<ushort>(block + 208);
    }

    /// <param name="group">Group of the chunk: 0 … 3.</param>
    public static void PackQ4_0(byte* block, int group, int row, byte* step, byte* scales)
    {
        PackInt4(Nibbles(block + 2, 0), row, 0, step);
        PackInt4(Nibbles(block + 2, 1), row, 1, step);
        ((ushort*)scales)[row * 4 + group] = Unsafe.ReadUnaligned<ushort>(block);
    }

    /// <param name="group">32 of the block's 256: 0 … 7.</param>
    public static void PackQ4_K(byte* block, int group, int row, byte* step, byte* scales)
    {
        // 32 bytes hold group 2i in their low and group 2i + 1 in their high nibbles.
        byte* nibbles = block + 16 + group / 2 * 32;
        PackInt4(Nibbles(nibbles, group % 2), row, 0, step);
        PackInt4(Nibbles(nibbles + 16, group % 2), row, 1, step);

        // Six bits each: groups 0 to 3 in bytes 0 to 3 and 4 to 7, the others split over bytes 8 to 11 and those bytes' top bits.
        byte* packed = block + 4;
        bool whole = group < 4;
        scales[row * 8 + group % 4] = (byte)(whole ? packed[group] & 63 : (packed[group + 4] & 15) | packed[group - 4] >> 6 << 4);
        scales[row * 8 + 4 + group % 4] = (byte)(whole ? packed[group + 4] & 63 : packed[group + 4] >> 4 | packed[group] >> 6 << 4);
        ((uint*)(scales + MatMulLayout.BlockRows * 8))[row] = Unsafe.ReadUnaligned<uint>(block);
    }

    /// <param name="quants">Sixteen columns of a row, plus 128.</param>
    /// <param name="row">Row of the block of 128.</param>
    /// <param name="tile">0 or 1.</param>
    /// <param name="step">The weights of the row's strip in this step.</param>
    public static void PackInt8(Vector128<byte> quants, int row, int tile, byte* step)
    {
        Vector128<uint> words = Vector128.Shuffle(quants, LaneOrder).AsUInt32();
        uint* to = (uint*)step + row % 8 * 16 + tile * 2 + row / 8 % 2;
        for (int lane = 0; lane < 4; lane++)
        {
            to[lane * 4] = words[lane];
        }
    }

    /// <param name="quants">Sixteen columns of a row; the high nibbles are zero.</param>
    public static void PackInt4(Vector128<byte> quants, int row, int tile, byte* step)
    {
        Vector128<uint> words = Vector128.Shuffle(quants, LaneOrder).AsUInt32() << (row / 8 % 2 * 4);
        uint* to = (uint*)step + row % 8 * 8 + tile;
        for (int lane = 0; lane < 4; lane++)
        {
            to[lane * 2] |= words[lane];
        }
    }

    private static Vector128<byte> Nibbles(byte* source, int high) =>
        (Vector128.Load(source).AsUInt16() >>> (4 * high)).AsByte() & Vector128.Create((byte)15);
}
