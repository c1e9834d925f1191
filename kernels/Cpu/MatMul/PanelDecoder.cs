using System.Runtime.CompilerServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>Reads one row back out of a panel, for embedding tables that share their memory with the output projection.</summary>
internal static unsafe class PanelDecoder
{
    private const int Rows = PanelLayout.PanelRows;
    private const int QuadBytes = 4 * Rows;

    /// <param name="format">Format of the panel.</param>
    /// <param name="panel">The panel.</param>
    /// <param name="row">Row of the panel.</param>
    /// <param name="columns">Elements of the row.</param>
    /// <param name="values">Receives the elements.</param>
    public static void Decode(WeightFormat format, byte* panel, int row, int columns, float* values)
    {
        switch (format)
        {
            case WeightFormat.F32:
                for (int column = 0; column < columns; column++)
                {
                    values[column] = ((float*)panel)[column * Rows + row];
                }

                break;
            case WeightFormat.F16:
                for (int column = 0; column < columns; column++)
                {
                    values[column] = (float)((Half*)panel)[column * Rows + row];
                }

                break;
            case WeightFormat.BF16:
                for (int column = 0; column < columns; column++)
                {
                    uint bits = ((ushort*)panel)[(column / 2 * Rows + row) * 2 + column % 2];
                    values[column] = BitConverter.UInt32BitsToSingle(bits << 16);
                }

                break;
            default:
                DecodeBlocks(format, panel, row, columns, values);
                break;
        }
    }

    private static void DecodeBlocks(WeightFormat format, byte* panel, int row, int columns, float* values)
    {
        PanelLayout layout = PanelLayout.Of(format);
        for (int column = 0; column < columns; column += PanelLayout.BlockColumns)
        {
            byte* step = panel + (nint)(column / layout.StepColumns) * layout.StepBytes;
            int block = column % layout.StepColumns / PanelLayout.BlockColumns;
            float* target = values + column;
            switch (format)
            {
                case WeightFormat.Q8_0:
                    DecodeBytes(step + block * 8 * QuadBytes, row, HalfAt(step + 1024, block * Rows + row), target);
                    break;
                case WeightFormat.Q4_0:
                    DecodeNibbles(step + block * 4 * QuadBytes, row, HalfAt(step + 512, block * Rows + row), 8, target);
                    break;
                case WeightFormat.Q4_K:
                    float scale = HalfAt(step + 2304, row) * step[2048 + block * Rows + row];
                    float minimum = HalfAt(step + 2336, row) * step[2176 + block * Rows + row];
                    DecodeNibbles(step + block * 4 * QuadBytes, row, scale, 0, target);
                    for (int i = 0; i < PanelLayout.BlockColumns; i++)
                    {
                        target[i] -= minimum;
                    }

                    break;
                default:
                    DecodeSixBits(step, block, row, target);
                    break;
            }
        }
    }

    private static float HalfAt(byte* halves, int index) => (float)((Half*)halves)[index];

    private static void DecodeBytes(byte* quants, int row, float scale, float* values)
    {
        for (int i = 0; i < PanelLayout.BlockColumns; i++)
        {
            values[i] = scale * (quants[i / 4 * QuadBytes + row * 4 + i % 4] - 128);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Nibble(byte* nibbles, int row, int i) =>
        nibbles[i % 16 / 4 * QuadBytes + row * 4 + i % 4] >> i / 16 * 4 & 15;

    private static void DecodeNibbles(byte* nibbles, int row, float scale, int offset, float* values)
    {
        for (int i = 0; i < PanelLayout.BlockColumns; i++)
        {
            values[i] = scale * (Nibble(nibbles, row, i) - offset);
        }
    }

    private static void DecodeSixBits(byte* step, int block, int row, float* values)
    {
        byte* nibbles = step + block * 6 * QuadBytes, pairs = nibbles + 4 * QuadBytes;
        float scaleOfScales = HalfAt(step + 3328, row);
        for (int i = 0; i < PanelLayout.BlockColumns; i++)
        {
            int group = i / 16;
            int pair = pairs[group * QuadBytes + row * 4 + i % 4] >> i % 16 / 4 * 2 & 3;
            float scale = scaleOfScales * (sbyte)step[3072 + (2 * block + group) * Rows + row];
            values[i] = scale * ((Nibble(nibbles, row, i) | pair << 4) - 32);
        }
    }
}
