using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>The emulator's tensor-core instructions, against products computed from PTX's formulas element by element.</summary>
[Category(Toolchain.Emulated)]
public sealed class FragmentTests
{
    private EmulatedUnit _unit = null!;

    [OneTimeSetUp]
    public void Load() => _unit = new EmulatedUnit("fragments.cu");

    [OneTimeTearDown]
    public void Dispose() => _unit?.Dispose();

    [TestCase("bf16")]
    [TestCase("f16")]
    [TestCase("s8")]
    [TestCase("e4m3")]
    public void A_warp_multiplies_fragments(string name)
    {
        TensorFormat format = TensorFormat.Of(name);
        Random random = new(5);
        uint[,] a = format.Random(random, 16, format.Depth), b = format.Random(random, 8, format.Depth);
        double[,] c = Accumulators(random, 16, 8);
        using CudaDeviceVariable<uint> registersA = _unit.Upload<uint>(FragmentLayout.PackA(a, 32, format.Bytes));
        using CudaDeviceVariable<uint> registersB = _unit.Upload<uint>(FragmentLayout.PackB(b, format.Bytes));
        using CudaDeviceVariable<uint> sums = _unit.Upload<uint>(PackSums(c, 32, 4, format.IsInteger));
        _unit.Run($"fragments_{name}", new LaunchShape(1, 32), registersA.Pointer, registersB.Pointer, sums.Pointer);
        AssertSums(sums.Download(), 4, format.Multiply(a, b, c), format.IsInteger);
    }

    [TestCase("bf16_n8", 128, 128, false)]
    [TestCase("bf16_n64", 128, 64, false)]
    [TestCase("bf16_n64", 32, 0, false)]
    [TestCase("bf16_n256", 0, 128, false)]
    [TestCase("bf16_n64_transposed", 128, 128, true)]
    [TestCase("bf16_n64_transposed", 128, 64, true)]
    [TestCase("f16_n32", 64, 32, false)]
    [TestCase("s8_n16", 128, 128, false)]
    [TestCase("s8_n128", 0, 64, false)]
    [TestCase("e4m3_n192", 128, 32, false)]
    public void A_warpgroup_multiplies_matrices_in_shared_memory(string kernel, int swizzleA, int swizzleB, bool transposeB)
    {
        TensorFormat format = TensorFormat.Of(kernel.Split('_')[0]);
        int columns = int.Parse(kernel.Split('_')[1][1..], System.Globalization.CultureInfo.InvariantCulture);
        Random random = new(6);
        uint[,] a = format.Random(random, 64, format.Depth), b = format.Random(random, columns, format.Depth);
        double[,] c = Accumulators(random, 64, columns);
        SharedMatrixLayout layoutA = new(swizzleA, false), layoutB = new(swizzleB, transposeB);
        byte[] image = new byte[49152];
        layoutA.Write(image, 0, a, format.Bytes);
        layoutB.Write(image, 16384, b, format.Bytes);
        using CudaDeviceVariable<byte> shared = _unit.Upload<byte>(image);
        using CudaDeviceVariable<uint> registersA = _unit.Upload<uint>(FragmentLayout.PackA(a, 128, format.Bytes));
        foreach ((DevicePtr pointer, int accumulate) in new[] { (new DevicePtr(0), 1), (registersA.Pointer, 1), (registersA.Pointer, 0) })
        {
            using CudaDeviceVariable<uint> sums = _unit.Upload<uint>(PackSums(c, 128, columns / 2, format.IsInteger));
            _unit.Run(
                $"warpgroup_{kernel}", new LaunchShape(1, 128, image.Length),
                shared.Pointer, image.Length, layoutA.Descriptor(0), layoutB.Descriptor(16384), pointer, sums.Pointer, accumulate);
            AssertSums(sums.Download(), columns / 2, format.Multiply(a, b, accumulate == 0 ? new double[64, columns] : c), format.IsInteger);
        }
    }

    [TestCase(4, false)]
    [TestCase(2, false)]
    [TestCase(1, false)]
    [TestCase(4, true)]
    [TestCase(2, true)]
    public void Matrices_are_loaded_by_rows_of_16_bytes(int count, bool transposed)
    {
        // Rows of 48 bytes, each 16-bit element its own number; matrix j's row i begins where lane 8 j + i says.
        ushort[] elements = [.. Enumerable.Range(0, 32 * 24).Select(i => (ushort)i)];
        uint[] offsets = [.. Enumerable.Range(0, 32).Select(lane => (uint)(((lane * 11 % 32) * 48) + (lane % 3 * 16)))];
        using CudaDeviceVariable<ushort> image = _unit.Upload<ushort>(elements);
        using CudaDeviceVariable<uint> addresses = _unit.Upload<uint>(offsets), results = _unit.Allocate<uint>(32 * count);
        _unit.Run($"load_x{count}{(transposed ? "_transposed" : "")}", new LaunchShape(1, 32, 32 * 48), image.Pointer, 32 * 48, addresses.Pointer, results.Pointer);
        uint[] registers = results.Download();
        for (int lane = 0; lane < 32; lane++)
        {
            for (int matrix = 0; matrix < count; matrix++)
            {
                uint Element(int row, int column) => elements[(offsets[(8 * matrix) + row] / 2) + column];
                uint expected = transposed
                    ? Element(2 * (lane % 4), lane / 4) | Element((2 * (lane % 4)) + 1, lane / 4) << 16
                    : Element(lane / 4, 2 * (lane % 4)) | Element(lane / 4, (2 * (lane % 4)) + 1) << 16;
                Assert.That(registers[(lane * count) + matrix], Is.EqualTo(expected), $"lane {lane}, matrix {matrix}");
            }
        }
    }

    [Test]
    public void Stored_matrices_are_what_a_load_would_read([Values] bool transposed)
    {
        uint[] registers = [.. Enumerable.Range(0, 128).Select(i => (uint)(i * 2 | ((i * 2) + 1) << 16))];
        uint[] offsets = [.. Enumerable.Range(0, 32).Select(lane => (uint)(lane * 13 % 32 * 16))];
        using CudaDeviceVariable<uint> values = _unit.Upload<uint>(registers), addresses = _unit.Upload<uint>(offsets);
        using CudaDeviceVariable<ushort> shared = _unit.Allocate<ushort>(256);
        _unit.Run(transposed ? "store_x4_transposed" : "store_x4", new LaunchShape(1, 32, 512), values.Pointer, addresses.Pointer, shared.Pointer);
        ushort[] image = shared.Download();
        for (int matrix = 0; matrix < 4; matrix++)
        {
            for (int row = 0; row < 8; row++)
            {
                for (int column = 0; column < 8; column++)
                {
                    (int across, int along) = transposed ? (column, row) : (row, column);
                    int holder = (((across * 4) + (along / 2)) * 4) + matrix;
                    Assert.That(image[(offsets[(8 * matrix) + row] / 2) + column], Is.EqualTo((ushort)(registers[holder] >> (16 * (along % 2)))));
                }
            }
        }
    }

    [Test]
    public void Row_major_A_comes_through_a_matrix_load()
    {
        // Lane l names row l % 16, piece l / 16 for A; for two blocks of eight of B's columns, row l % 8 + 8 (l / 16), piece l / 8 % 2.
        uint[,] matrix = new uint[16, 16];
        ushort[] elements = [.. Enumerable.Range(0, 256).Select(i => (ushort)i)];
        Buffer.BlockCopy(elements.Select(element => (uint)element).ToArray(), 0, matrix, 0, 1024);
        uint[] forA = [.. Enumerable.Range(0, 32).Select(lane => (uint)((lane % 16 * 32) + (lane / 16 * 16)))];
        uint[] forB = [.. Enumerable.Range(0, 32).Select(lane => (uint)((((lane % 8) + (8 * (lane / 16))) * 32) + (lane / 8 % 2 * 16)))];
        uint[] a = LoadX4(elements, forA), b = LoadX4(elements, forB);
        Assert.That(a, Is.EqualTo(FragmentLayout.PackA(matrix, 32, 2)));
        for (int block = 0; block < 2; block++)
        {
            uint[,] columns = new uint[8, 16];
            Array.Copy(matrix, block * 128, columns, 0, 128);
            uint[] expected = FragmentLayout.PackB(columns, 2);
            Assert.That(Enumerable.Range(0, 64).Select(i => b[(i / 2 * 4) + (2 * block) + (i % 2)]), Is.EqualTo(expected));
        }
    }

    private uint[] LoadX4(ushort[] elements, uint[] offsets)
    {
        using CudaDeviceVariable<ushort> image = _unit.Upload<ushort>(elements);
        using CudaDeviceVariable<uint> addresses = _unit.Upload<uint>(offsets), results = _unit.Allocate<uint>(128);
        _unit.Run("load_x4", new LaunchShape(1, 32, 512), image.Pointer, 512, addresses.Pointer, results.Pointer);
        return results.Download();
    }

    private static double[,] Accumulators(Random random, int rows, int columns)
    {
        double[,] values = new double[rows, columns];
        for (int i = 0; i < rows * columns; i++)
        {
            values[i / columns, i % columns] = random.Next(-8, 9);
        }
        return values;
    }

    private static uint[] PackSums(double[,] sums, int threads, int registers, bool integers)
    {
        uint[] packed = new uint[threads * registers];
        for (int i = 0; i < packed.Length; i++)
        {
            (int row, int column) = FragmentLayout.D(i / registers, i % registers);
            packed[i] = integers ? (uint)(int)sums[row, column] : BitConverter.SingleToUInt32Bits((float)sums[row, column]);
        }
        return packed;
    }

    private static void AssertSums(uint[] packed, int registers, double[,] expected, bool integers)
    {
        for (int i = 0; i < packed.Length; i++)
        {
            (int row, int column) = FragmentLayout.D(i / registers, i % registers);
            double actual = integers ? (int)packed[i] : BitConverter.UInt32BitsToSingle(packed[i]);
            Assert.That(actual, Is.EqualTo(expected[row, column]).Within(integers ? 0 : 1e-4), $"row {row}, column {column}");
        }
    }
}
