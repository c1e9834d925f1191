using System.Runtime.CompilerServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>Rearranges sixteen rows of a checkpoint's weights into a panel; <see cref="PanelLayout"/> shows the result.</summary>
internal static unsafe class PanelPacker
{
    private const int Rows = PanelLayout.PanelRows;

    /// <param name="format">Format of the rows.</param>
    /// <param name="rows">Addresses of the panel's rows; fewer than sixteen at the end of a matrix.</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="panel">The panel, zeroed.</param>
    public static void Pack(WeightFormat format, ReadOnlySpan<nint> rows, int columns, byte* panel)
    {
        for (int row = 0; row < rows.Length; row++)
        {
            byte* source = (byte*)rows[row];
            switch (format)
            {
                case WeightFormat.F32:
                    PackElements((uint*)source, columns, row, (uint*)panel);
                    break;
                case WeightFormat.F16:
                    PackElements((ushort*)source, columns, row, (ushort*)panel);
                    break;
                case WeightFormat.BF16:
                    PackPairs((ushort*)source, columns, row, (ushort*)panel);
                    break;
                default:
                    PackBlocks(format, source, columns, row, panel);
                    break;
            }
        }
    }

    private static void PackElements<T>(T* source, int columns, int row, T* panel)
        where T : unmanaged
    {
        for (int column = 0; column < columns; column++)
        {
            panel[column * Rows + row] = source[column];
        }
    }

    private static void PackPairs(ushort* source, int columns, int row, ushort* panel)
    {
        for (int column = 0; column < columns; column++)
        {
            panel[(column / 2 * Rows + row) * 2 + column % 2] = source[column];
        }
    }

    private static void PackBlocks(WeightFormat format, byte* source, int columns, int row, byte* panel)
    {
        PanelLayout layout = PanelLayout.Of(format);
        int blockElements = format.BlockElements(), blockBytes = format.BlockBytes();
        int blocksPerStep = layout.StepColumns / blockElements;
        for (int block = 0; block < columns / blockElements; block++, source += blockBytes)
        {
            byte* step = panel + (nint)(block / blocksPerStep) * layout.StepBytes;
            switch (format)
            {
                case WeightFormat.Q8_0:
                    PackQ8Block(source, block % blocksPerStep, row, step);
                    break;
                case WeightFormat.Q4_0:
                    PackQ4Block(source, block % blocksPerStep, row, step);
                    break;
                case WeightFormat.Q4_K:
                    PackQ4KBlock(source, row, step);
                    break;
                default:
                    PackQ6KBlock(source, row, step);
                    break;
            }
        }
    }

    /// <summary>Quads of columns, 64 bytes apart for one row.</summary>
    private static uint* Quads(byte* quants, int row) => (uint*)quants + row;

    private static void PackQ8Block(byte* source, int block, int row, byte* step)
    {
        uint* quads = Quads(step + 512 * block, row);
        for (int quad = 0; quad < 8; quad++)
        {
            // q + 128 is q with its sign bit flipped.
            quads[quad * Rows] = Unsafe.ReadUnaligned<uint>(source + 2 + 4 * quad) ^ 0x80808080;
        }

        ((ushort*)(step + 1024))[block * Rows + row] = Unsafe.ReadUnaligned<ushort>(source);
    }

    private static void PackQ4Block(byte* source, int block, int row, byte* step)
    {
        uint* quads = Quads(step + 256 * block, row);
        for (int quad = 0; quad < 4; quad++)
        {
            quads[quad * Rows] = Unsafe.ReadUnaligned<uint>(source + 2 + 4 * quad);
        }

        ((ushort*)(step + 512))[block * Rows + row] = Unsafe.ReadUnaligned<ushort>(source);
    }

    private static void PackQ4KBlock(byte* source, int row, byte* step)
    {
        byte* scales = source + 4, nibbles = source + 16;
        for (int block = 0; block < 8; block++)
        {
            // 32 bytes hold block 2i in their low and block 2i + 1 in their high nibbles.
            byte* pair = nibbles + block / 2 * 32;
            int shift = block % 2 * 4;
            uint* quads = Quads(step + 256 * block, row);
            for (int quad = 0; quad < 4; quad++)
            {
                uint low = Unsafe.ReadUnaligned<uint>(pair + 4 * quad) >> shift & 0x0F0F0F0F;
                uint high = Unsafe.ReadUnaligned<uint>(pair + 16 + 4 * quad) >> shift & 0x0F0F0F0F;
                quads[quad * Rows] = low | high << 4;
            }

            // Six bits each: blocks 0..3 in bytes 0..3 and 4..7, the rest split over bytes 8..11 and the others' top bits.
            bool whole = block < 4;
            int scale = whole ? scales[block] & 63 : (scales[block + 4] & 15) | scales[block - 4] >> 6 << 4;
            int min = whole ? scales[block + 4] & 63 : scales[block + 4] >> 4 | scales[block] >> 6 << 4;
            step[2048 + block * Rows + row] = (byte)scale;
            step[2176 + block * Rows + row] = (byte)min;
        }

        ((ushort*)(step + 2304))[row] = Unsafe.ReadUnaligned<ushort>(source);
        ((ushort*)(step + 2336))[row] = Unsafe.ReadUnaligned<ushort>(source + 2);
    }

    private static void PackQ6KBlock(byte* source, int row, byte* step)
    {
        for (int block = 0; block < 8; block++)
        {
            // Four blocks share 64 bytes of nibbles (the first two the low ones) and 32 bytes of pairs (two bits each).
            int half = block / 4, quarter = block % 4;
            byte* nibbles = source + half * 64 + quarter % 2 * 32, pairs = source + 128 + half * 32;
            int nibbleShift = quarter / 2 * 4, pairShift = 2 * quarter;
            uint* quads = Quads(step + 384 * block, row);
            uint first = 0, second = 0;
            for (int quad = 0; quad < 4; quad++)
            {
                uint low = Unsafe.ReadUnaligned<uint>(nibbles + 4 * quad) >> nibbleShift & 0x0F0F0F0F;
                uint high = Unsafe.ReadUnaligned<uint>(nibbles + 16 + 4 * quad) >> nibbleShift & 0x0F0F0F0F;
                quads[quad * Rows] = low | high << 4;
                first |= (Unsafe.ReadUnaligned<uint>(pairs + 4 * quad) >> pairShift & 0x03030303) << 2 * quad;
                second |= (Unsafe.ReadUnaligned<uint>(pairs + 16 + 4 * quad) >> pairShift & 0x03030303) << 2 * quad;
            }

            quads[4 * Rows] = first;
            quads[5 * Rows] = second;
        }

        byte* scales = source + 192;
        for (int group = 0; group < 16; group++)
        {
            step[3072 + group * Rows + row] = scales[group];
        }

        ((ushort*)(step + 3328))[row] = Unsafe.ReadUnaligned<ushort>(source + 208);
    }
}
