namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>An element type of the tensor cores: its bits and what they mean.</summary>
/// <param name="Bytes">Of an element.</param>
/// <param name="Decode">The number that bits stand for.</param>
internal sealed record TensorFormat(string Name, int Bytes, Func<uint, double> Decode)
{
    public static TensorFormat Bf16 { get; } = new("bf16", 2, bits => BitConverter.UInt32BitsToSingle(bits << 16));

    public static TensorFormat F16 { get; } = new("f16", 2, bits => (double)BitConverter.UInt16BitsToHalf((ushort)bits));

    public static TensorFormat S8 { get; } = new("s8", 1, bits => (sbyte)bits);

    public static TensorFormat E4M3 { get; } = new("e4m3", 1, bits =>
    {
        int exponent = (int)(bits >> 3) & 15, mantissa = (int)bits & 7;
        double magnitude = exponent == 0 ? mantissa * Math.Pow(2, -9) : (8 + mantissa) * Math.Pow(2, exponent - 10);
        return (bits & 0x80) == 0 ? magnitude : -magnitude;
    });

    public static TensorFormat Of(string name) => new[] { Bf16, F16, S8, E4M3 }.Single(format => format.Name == name);

    /// <summary>K of one instruction: 32 bytes.</summary>
    public int Depth => 32 / Bytes;

    public bool IsInteger => this == S8;

    /// <summary>Random numbers of about unit size (INT8: all of them).</summary>
    public uint[,] Random(Random random, int rows, int columns)
    {
        uint[,] bits = new uint[rows, columns];
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < columns; column++)
            {
                float value = (float)((2 * random.NextDouble()) - 1);
                bits[row, column] = Name switch
                {
                    "bf16" => BitConverter.SingleToUInt32Bits(value) >> 16,
                    "f16" => BitConverter.HalfToUInt16Bits((Half)value),
                    "e4m3" => (uint)random.Next(2) << 7 | (uint)random.Next(0x40),
                    _ => (uint)random.Next(256),
                };
            }
        }
        return bits;
    }

    /// <summary>a · bᵀ + c in double precision; a is [rows, K], b [columns, K].</summary>
    public double[,] Multiply(uint[,] a, uint[,] b, double[,] c)
    {
        double[,] product = (double[,])c.Clone();
        for (int row = 0; row < a.GetLength(0); row++)
        {
            for (int column = 0; column < b.GetLength(0); column++)
            {
                for (int k = 0; k < a.GetLength(1); k++)
                {
                    product[row, column] += Decode(a[row, k]) * Decode(b[column, k]);
                }
            }
        }
        return product;
    }
}
