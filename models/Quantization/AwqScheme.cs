namespace LlamaServe.Models.Quantization;

/// <summary>AWQ (arXiv:2306.00978) as AutoAWQ's "gemm" version stores it: a word holds eight neighbouring outputs, interleaved.</summary>
internal sealed unsafe class AwqScheme(int groupSize) : GroupScheme(bits: 4, groupSize)
{
    /// <summary>The nibble of each of eight outputs: AutoAWQ stores them in the order 0, 2, 4, 6, 1, 3, 5, 7.</summary>
    private static readonly int[] Nibble = [0, 4, 1, 5, 2, 6, 3, 7];

    protected override long[] WeightShape(int rows, int columns) => [columns, rows / PerWord];

    protected override void Unpack(uint* source, int firstRow, int rows, int columns, uint* target)
    {
        int words = columns / PerWord;
        uint* column = source + firstRow / PerWord;
        for (int word = 0; word < words; word++)
        {
            for (int row = 0; row < PerWord; row++)
            {
                uint packed = 0;
                for (int i = 0; i < PerWord; i++)
                {
                    packed |= (column[(long)(word * PerWord + i) * (rows / PerWord)] >> 4 * Nibble[row] & 15) << 4 * i;
                }
                target[(long)row * words + word] = packed;
            }
        }
    }

    protected override int Zero(uint* words, int row) => (int)(words[row / PerWord] >> 4 * Nibble[row % PerWord] & 15);
}
