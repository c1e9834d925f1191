using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Quantization;

/// <summary>
/// A random matrix in groups, written as AutoGPTQ and AutoAWQ document their tensors: element by element, from the definitions
/// alone.
/// </summary>
internal sealed class QuantizedMatrix
{
    private readonly int _rows, _columns, _bits, _groupSize;
    private readonly int[,] _quants, _zeros;
    private readonly Half[,] _scales;

    /// <param name="groupSize">-1: one group a row.</param>
    /// <param name="isSymmetric">All zero points are the middle.</param>
    public QuantizedMatrix(int rows, int columns, int bits, int groupSize, bool isSymmetric, Random random)
    {
        (_rows, _columns, _bits, _groupSize) = (rows, columns, bits, groupSize < 0 ? columns : groupSize);
        int range = 1 << bits, groups = columns / _groupSize;
        _quants = new int[columns, rows];
        _zeros = new int[groups, rows];
        _scales = new Half[groups, rows];
        for (int row = 0; row < rows; row++)
        {
            for (int group = 0; group < groups; group++)
            {
                _zeros[group, row] = isSymmetric ? range / 2 : Math.Clamp(range / 2 + random.Next(-3, 4), 0, range - 1);
                _scales[group, row] = (Half)(5 / Math.Sqrt(columns) / range * (0.5 + random.NextDouble()));
            }
            for (int column = 0; column < columns; column++)
            {
                _quants[column, row] = random.Next(range);
            }
        }
    }

    /// <summary>[rows · columns], row-major.</summary>
    public double[] Values() => [.. from row in Enumerable.Range(0, _rows)
                                    from column in Enumerable.Range(0, _columns)
                                    let @group = column / _groupSize
                                    select (double)_scales[@group, row] * (_quants[column, row] - _zeros[@group, row])];

    /// <param name="zeroOffset">What is taken from zero points before they are stored: 1 in format "gptq", 0 in "gptq_v2".</param>
    /// <param name="indices">The group of each column; null for those without reordering.</param>
    public void WriteGptq(SafetensorsWriter writer, string module, int zeroOffset, int[]? indices = null)
    {
        int perWord = 32 / _bits, range = 1 << _bits, groups = _columns / _groupSize;
        uint[,] words = new uint[_columns / perWord, _rows], zeros = new uint[groups, _rows / perWord];
        for (int row = 0; row < _rows; row++)
        {
            for (int column = 0; column < _columns; column++)
            {
                words[column / perWord, row] |= (uint)_quants[column, row] << column % perWord * _bits;
            }
            for (int group = 0; group < groups; group++)
            {
                zeros[group, row / perWord] |= (uint)((_zeros[group, row] - zeroOffset + range) % range) << row % perWord * _bits;
            }
        }
        indices ??= [.. Enumerable.Range(0, _columns).Select(column => column / _groupSize)];
        Write(writer, module, words, zeros);
        writer.Add(module + ".g_idx", "I32", [_columns], [.. indices.SelectMany(BitConverter.GetBytes)]);
    }

    public void WriteAwq(SafetensorsWriter writer, string module)
    {
        // Nibble i of a word is output order[i] of eight.
        int[] order = [0, 2, 4, 6, 1, 3, 5, 7];
        int groups = _columns / _groupSize;
        uint[,] words = new uint[_columns, _rows / 8], zeros = new uint[groups, _rows / 8];
        for (int word = 0; word < _rows / 8; word++)
        {
            for (int nibble = 0; nibble < 8; nibble++)
            {
                int row = word * 8 + order[nibble];
                for (int column = 0; column < _columns; column++)
                {
                    words[column, word] |= (uint)_quants[column, row] << 4 * nibble;
                }
                for (int group = 0; group < groups; group++)
                {
                    zeros[group, word] |= (uint)_zeros[group, row] << 4 * nibble;
                }
            }
        }
        Write(writer, module, words, zeros);
    }

    private void Write(SafetensorsWriter writer, string module, uint[,] words, uint[,] zeros)
    {
        writer.Add(module + ".qweight", "I32", Shape(words), [.. words.Cast<uint>().SelectMany(BitConverter.GetBytes)]);
        writer.Add(module + ".qzeros", "I32", Shape(zeros), [.. zeros.Cast<uint>().SelectMany(BitConverter.GetBytes)]);
        writer.Add(module + ".scales", "F16", Shape(_scales), [.. _scales.Cast<Half>().SelectMany(BitConverter.GetBytes)]);
    }

    private static long[] Shape(Array array) => [array.GetLongLength(0), array.GetLongLength(1)];
}
