using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda.MatMul;

/// <summary>What a single launch of the product shows on the emulated device: its memory accesses, and its bits by architecture.</summary>
[Category(Toolchain.Emulated)]
public sealed class MatMulKernelTests
{
    private const int Rows = 128, Columns = 1024, Splits = 2;

    private static readonly Lazy<EmulatedUnit> Unit = new(() => new EmulatedUnit("matmul_int4_zeros.cu"));

    [OneTimeTearDown]
    public void Dispose()
    {
        if (Unit.IsValueCreated)
        {
            Unit.Value.Dispose();
        }
    }

    [Test]
    public void Older_architectures_compute_the_same_bits()
    {
        float[] expected = Run(Unit.Value, 12, 16, (unit, kernel, shape, argument) => unit.Run(kernel, shape, argument));
        using EmulatedUnit older = new("matmul_int4_zeros.cu", GpuArchitecture.Sm80);
        Assert.That(Run(older, 12, 16, (unit, kernel, shape, argument) => unit.Run(kernel, shape, argument)), Is.EqualTo(expected));
        Assert.That(expected, Has.Some.Not.Zero);
    }

    [Test]
    public void Memory_is_accessed_without_conflict_or_waste([Values(8, 32)] int tokens)
    {
        IReadOnlyList<PlaceAccesses> accesses = [];
        Run(Unit.Value, tokens, tokens, (unit, kernel, shape, argument) => accesses = unit.RunRecorded(kernel, shape, argument));
        Assert.That(accesses.Any(access => access.Place.StartsWith("shared load_matrix_x4 ", StringComparison.Ordinal)));
        Assert.That(accesses.Where(access => access.Units > access.IdealUnits), Is.Empty);
    }

    private static unsafe float[] Run(EmulatedUnit unit, int tokens, int tile, Action<EmulatedUnit, string, LaunchShape, KernelArgument> launch)
    {
        ScaledWeights weights = new(WeightFormat.Int4, Rows, Columns, 128, hasZeroPoints: true, seed: 1);
        MatMulLayout layout = MatMulLayout.Of(weights.Data);
        byte[] packed = new byte[layout.BlockBytes(Columns)];
        float[] factors = new float[Rows];
        fixed (byte* block = packed)
        {
            MatMulPacker.Pack(layout, new PackedRows([weights.Data]), 0, block, factors);
        }
        Random random = new(2);
        ushort[] values = [.. Enumerable.Range(0, tokens * Columns).Select(_ => BFloat16Values.FromFloat(random.NextSingle() - 0.5f))];
        using CudaDeviceVariable<byte> matrix = unit.Upload<byte>(packed);
        using CudaDeviceVariable<ushort> x = unit.Upload<ushort>(values);
        using CudaDeviceVariable<float> factor = unit.Upload<float>(factors), result = unit.Allocate<float>(tokens * Rows), partial = unit.Allocate<float>(Splits * tile * Rows);
        using CudaDeviceVariable<uint> tickets = unit.Upload<uint>(new uint[1]);
        CudaMatMulArguments arguments = new()
        {
            Weights = matrix.Pointer,
            X = x.Pointer,
            Factors = factor.Pointer,
            Out = result.Pointer,
            Partial = partial.Pointer,
            Tickets = tickets.Pointer,
            XStride = Columns,
            OutStride = Rows,
            Tokens = tokens,
            Rows = Rows,
            Columns = Columns,
            Chunks = layout.Chunks(Columns),
            Splits = Splits,
            TokenTiles = 1,
            TilesAcross = 1,
            OutF32 = 1,
            Vectors = 1,
        };
        launch(unit, $"matmul_{layout.Name}_t{tile}", new LaunchShape(new Dim3(1, Splits, 1), 256, layout.SharedBytes(tile)), KernelArgument.Struct(&arguments));
        Assert.That(tickets.Download(), Is.All.Zero);
        return result.Download();
    }
}
