using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda;

[Category(Toolchain.Emulated)]
public sealed class MatMulW4A16KernelTests
{
    private const int BlockRows = 64, ChunkColumns = 256;

    private static readonly Lazy<EmulatedUnit> Unit = new(() => new EmulatedUnit("matmul_w4a16.cu"));

    [OneTimeTearDown]
    public void Dispose()
    {
        if (Unit.IsValueCreated)
        {
            Unit.Value.Dispose();
        }
    }

    [TestCase(64, 256, 1, 128, 1)]
    [TestCase(65, 520, 3, 128, 1)]
    [TestCase(1, 8, 8, 128, 1)]
    [TestCase(100, 1000, 9, 64, 2)]
    [TestCase(130, 1024, 17, 32, 4)]
    [TestCase(101, 1032, 33, 128, 3)]
    [TestCase(192, 2048, 64, 32, 2)]
    [TestCase(128, 3328, 16, 128, 5)]
    public void The_product_agrees_with_double_precision(int rows, int columns, int tokens, int group, int splits)
    {
        Problem problem = new(rows, columns, tokens, group);
        double[] expected = problem.Expected();
        float[] actual = Run(Unit.Value, problem, splits, TokenTiles(tokens));
        Assert.That(Tolerances.NormalizedMeanSquareError(actual, expected), Is.LessThan(Tolerances.BF16));
    }

    [Test]
    public void Older_architectures_compute_the_same_bits()
    {
        Problem problem = new(96, 1024, 12, 128);
        float[] expected = Run(Unit.Value, problem, 2, 2);
        using EmulatedUnit older = new("matmul_w4a16.cu", GpuArchitecture.Sm80);
        Assert.That(Run(older, problem, 2, 2), Is.EqualTo(expected));
    }

    [Test]
    public void A_token_does_not_depend_on_the_number_of_tokens([Values(1, 4)] int splits)
    {
        Problem many = new(128, 2048, 64, 128);
        float[] all = Run(Unit.Value, many, splits, 8);
        foreach (int tokens in new[] { 1, 5, 8, 16, 30 })
        {
            float[] some = Run(Unit.Value, many with { Tokens = tokens }, splits, TokenTiles(tokens));
            Assert.That(some, Is.EqualTo(all[..(tokens * 128)]), $"{tokens} tokens");
        }
    }

    [Test]
    public void Memory_is_accessed_without_conflict_or_waste([Values(8, 32)] int tokens)
    {
        IReadOnlyList<PlaceAccesses> accesses = [];
        Run(Unit.Value, new Problem(128, 1024, tokens, 128), 2, TokenTiles(tokens), (unit, kernel, shape, argument) => accesses = unit.RunRecorded(kernel, shape, argument));
        Assert.That(accesses.Any(access => access.Place.StartsWith("shared load_matrix_x4 ", StringComparison.Ordinal)));
        Assert.That(accesses.Where(access => access.Units > access.IdealUnits), Is.Empty);
    }

    private static int TokenTiles(int tokens) => tokens <= 8 ? 1 : tokens <= 16 ? 2 : tokens <= 32 ? 4 : 8;

    private static float[] Run(EmulatedUnit unit, Problem problem, int splits, int tokenTiles) =>
        Run(unit, problem, splits, tokenTiles, (emulated, kernel, shape, argument) => emulated.Run(kernel, shape, argument));

    private static unsafe float[] Run(
        EmulatedUnit unit, Problem problem, int splits, int tokenTiles, Action<EmulatedUnit, string, LaunchShape, KernelArgument> launch)
    {
        int blocks = (problem.Rows + BlockRows - 1) / BlockRows;
        using CudaDeviceVariable<byte> weights = unit.Upload<byte>(problem.Packed());
        using CudaDeviceVariable<ushort> x = unit.Upload<ushort>(problem.X), residual = unit.Upload<ushort>(problem.Residual);
        using CudaDeviceVariable<float> bias = unit.Upload<float>(problem.Bias);
        using CudaDeviceVariable<ushort> result = unit.Allocate<ushort>(problem.Tokens * problem.Rows);
        using CudaDeviceVariable<float> partial = unit.Allocate<float>(blocks * splits * tokenTiles * 8 * BlockRows);
        using CudaDeviceVariable<uint> tickets = unit.Upload<uint>(new uint[blocks]);
        Arguments arguments = new()
        {
            Weights = weights.Pointer,
            X = x.Pointer,
            Bias = bias.Pointer,
            Residual = residual.Pointer,
            Out = result.Pointer,
            Partial = partial.Pointer,
            Tickets = tickets.Pointer,
            XStride = problem.Columns,
            OutStride = problem.Rows,
            Tokens = problem.Tokens,
            Rows = problem.Rows,
            Columns = problem.Columns,
            Chunks = problem.Chunks,
        };
        int stages = tokenTiles switch { 1 => 8, 2 => 6, 4 => 4, _ => 2 };
        int shared = stages * (problem.ChunkBytes + (tokenTiles * 8 * ChunkColumns * 2));
        launch(unit, $"matmul_w4a16_t{tokenTiles * 8}_g{problem.Group}", new LaunchShape(new Dim3(blocks, splits), 256, shared), KernelArgument.Struct(&arguments));
        Assert.That(tickets.Download(), Is.All.Zero);
        return [.. result.Download().Select(Number)];
    }

    private static float Number(ushort bf16) => BitConverter.UInt32BitsToSingle((uint)bf16 << 16);

    [StructLayout(LayoutKind.Sequential)]
    private struct Arguments
    {
        public DevicePtr Weights, X, Bias, Residual, Out, Partial, Tickets;
        public int XStride, OutStride, Tokens, Rows, Columns, Chunks;
    }

    /// <summary>Random nibbles, scales and activations; the first tokens are the same for every number of them.</summary>
    private sealed record Problem(int Rows, int Columns, int Tokens, int Group)
    {
        public int Chunks => (Columns + ChunkColumns - 1) / ChunkColumns;

        public int ChunkBytes => (BlockRows * ChunkColumns / 2) + (BlockRows * (ChunkColumns / Group) * 2);

        public ushort[] X => Values(2, Tokens * Columns);

        public ushort[] Residual => Values(3, Tokens * Rows);

        public float[] Bias => [.. Values(4, Rows).Select(Number)];

        private int Groups => (Columns + Group - 1) / Group;

        private ushort[] Scales => [.. Values(5, Rows * Groups).Select(bits => (ushort)(0x3c00 + (bits & 0x3ff)))];

        private byte[] Nibbles
        {
            get
            {
                Random random = new(6);
                return [.. Enumerable.Range(0, Rows * Columns).Select(_ => (byte)random.Next(16))];
            }
        }

        public double[] Expected()
        {
            byte[] nibbles = Nibbles;
            ushort[] scales = Scales, x = X, residual = Residual;
            float[] bias = Bias;
            double[] expected = new double[Tokens * Rows];
            for (int token = 0; token < Tokens; token++)
            {
                for (int row = 0; row < Rows; row++)
                {
                    double sum = bias[row] + Number(residual[(token * Rows) + row]);
                    for (int k = 0; k < Columns; k++)
                    {
                        sum += (nibbles[(row * Columns) + k] - 8.0) * Number(scales[(row * Groups) + (k / Group)]) * Number(x[(token * Columns) + k]);
                    }
                    expected[(token * Rows) + row] = sum;
                }
            }
            return expected;
        }

        /// <summary>As matmul_w4a16.cu describes; what lies beyond the matrix is 8, which is zero, with scale zero.</summary>
        public byte[] Packed()
        {
            byte[] nibbles = Nibbles, packed = new byte[(Rows + BlockRows - 1) / BlockRows * Chunks * ChunkBytes];
            ushort[] scales = Scales;
            Span<uint> words = stackalloc uint[1];
            for (int chunk = 0; chunk < packed.Length / ChunkBytes; chunk++)
            {
                int firstRow = chunk / Chunks * BlockRows, firstColumn = chunk % Chunks * ChunkColumns;
                Span<byte> to = packed.AsSpan(chunk * ChunkBytes, ChunkBytes);
                for (int word = 0; word < BlockRows * ChunkColumns / 8; word++)
                {
                    int tile = word % 4, lane = word / 4 % 32, quarter = word / 128 % 4, strip = word / 512;
                    words[0] = 0;
                    for (int i = 0; i < 8; i++)
                    {
                        int j = i % 4, e = i / 4;
                        int row = firstRow + (strip * 16) + (lane / 4) + (8 * (j & 1)), column = firstColumn + (quarter * 64) + (tile * 16) + (2 * (lane % 4)) + e + (8 * (j >> 1));
                        uint nibble = row < Rows && column < Columns ? nibbles[(row * Columns) + column] : 8u;
                        words[0] |= nibble << (4 * i);
                    }
                    MemoryMarshal.AsBytes(words).CopyTo(to[(4 * word)..]);
                }
                Span<ushort> toScales = MemoryMarshal.Cast<byte, ushort>(to[(BlockRows * ChunkColumns / 2)..]);
                for (int i = 0; i < toScales.Length; i++)
                {
                    int row = firstRow + (i % BlockRows), group = (firstColumn / Group) + (i / BlockRows);
                    toScales[i] = row < Rows && group < Groups ? scales[(row * Groups) + group] : (ushort)0;
                }
            }
            return packed;
        }

        private static ushort[] Values(int seed, int count)
        {
            Random random = new(seed);
            return [.. Enumerable.Range(0, count).Select(_ => (ushort)(BitConverter.SingleToUInt32Bits((float)((2 * random.NextDouble()) - 1)) >> 16))];
        }
    }
}
