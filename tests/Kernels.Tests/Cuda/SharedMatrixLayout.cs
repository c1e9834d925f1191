namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>
/// How wgmma's operands lie in shared memory, after PTX ISA's "Shared Memory Matrix Layout" and its tables of swizzling modes.
/// </summary>
/// <param name="Swizzle">Bytes of a row that are permuted: 128, 64, 32, or 0 for none.</param>
/// <param name="Transposed">Whether rows lie side by side instead of K.</param>
internal sealed record SharedMatrixLayout(int Swizzle, bool Transposed)
{
    /// <summary>Where the 16-byte pieces of a 128-byte line go, line by line.</summary>
    private static readonly Dictionary<int, int[][]> Tables = new()
    {
        [0] = [[0, 1, 2, 3, 4, 5, 6, 7]],
        [32] = [[0, 1, 2, 3, 4, 5, 6, 7], [1, 0, 3, 2, 5, 4, 7, 6]],
        [64] = [[0, 1, 2, 3, 4, 5, 6, 7], [1, 0, 3, 2, 5, 4, 7, 6], [2, 3, 0, 1, 6, 7, 4, 5], [3, 2, 1, 0, 7, 6, 5, 4]],
        [128] =
        [
            [0, 1, 2, 3, 4, 5, 6, 7], [1, 0, 3, 2, 5, 4, 7, 6], [2, 3, 0, 1, 6, 7, 4, 5], [3, 2, 1, 0, 7, 6, 5, 4],
            [4, 5, 6, 7, 0, 1, 2, 3], [5, 4, 7, 6, 1, 0, 3, 2], [6, 7, 4, 5, 2, 3, 0, 1], [7, 6, 5, 4, 3, 2, 1, 0],
        ],
    };

    // Without a swizzle, the two 16-byte columns of a K of 32 bytes lie 4 KB apart: room for 256 rows.
    private const int ColumnBytes = 4096;

    /// <summary>The descriptor of a matrix whose image begins at <paramref name="offset"/> of shared memory.</summary>
    public ulong Descriptor(int offset)
    {
        uint leading = Transposed ? 16384 : Swizzle == 0 ? ColumnBytes : 16u, stride = Swizzle == 0 ? 128 : 8 * (uint)Swizzle;
        ulong mode = Swizzle switch { 128 => 1, 64 => 2, 32 => 3, _ => 0 };
        return ((uint)offset >> 4) | (ulong)(leading >> 4) << 16 | (ulong)(stride >> 4) << 32 | mode << 62;
    }

    /// <summary>Writes a matrix, stored [row, K], into an image of shared memory, whose offset is a multiple of 1024.</summary>
    public void Write(byte[] image, int offset, uint[,] matrix, int bytes)
    {
        for (int row = 0; row < matrix.GetLength(0); row++)
        {
            for (int k = 0; k < matrix.GetLength(1); k++)
            {
                int place = offset + Swizzled(Place(row, k, bytes));
                for (int i = 0; i < bytes; i++)
                {
                    image[place + i] = (byte)(matrix[row, k] >> (8 * i));
                }
            }
        }
    }

    private int Place(int row, int k, int bytes) => (Transposed, Swizzle) switch
    {
        // Atoms of 8 k by the swizzle's width of rows, those along the rows 16 KB apart.
        (true, _) => (row * bytes / Swizzle * 16384) + (k / 8 * 8 * Swizzle) + (k % 8 * Swizzle) + (row * bytes % Swizzle),
        // Core matrices of 8 rows by 16 bytes.
        (false, 0) => (k * bytes / 16 * ColumnBytes) + (row / 8 * 128) + (row % 8 * 16) + (k * bytes % 16),
        // Rows of the swizzle's width.
        _ => (row * Swizzle) + (k * bytes),
    };

    private int Swizzled(int place)
    {
        int[][] table = Tables[Swizzle];
        return (place / 128 * 128) + (table[place / 128 % table.Length][place % 128 / 16] * 16) + (place % 16);
    }
}
