using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>A product pipelined by bulk copies, mbarriers and wgmma, right for every seed, and never unnoticed when one step is left out.</summary>
[Category(Toolchain.Emulated)]
public sealed class EmulatedWarpgroupTests
{
    private const int Chunks = 7, Rows = 64, ChunkColumns = 64, Seeds = 20, SharedBytes = 1024 + (3 * Rows * ChunkColumns * 2);

    private EmulatedUnit _unit = null!;
    private ushort[] _a = null!;
    private ushort[] _b = null!;
    private float[] _product = null!;

    [OneTimeSetUp]
    public void Load()
    {
        _unit = new EmulatedUnit("warpgroup.cu");
        Random random = new(3);
        _a = Values();
        _b = Values();
        _product = new float[Rows * Rows];
        for (int row = 0; row < Rows; row++)
        {
            for (int column = 0; column < Rows; column++)
            {
                double sum = 0;
                for (int k = 0; k < Chunks * ChunkColumns; k++)
                {
                    int chunk = k / ChunkColumns * Rows * ChunkColumns, within = k % ChunkColumns;
                    sum += (double)Number(_a[chunk + (row * ChunkColumns) + within]) * Number(_b[chunk + (column * ChunkColumns) + within]);
                }
                _product[(row * Rows) + column] = (float)sum;
            }
        }

        ushort[] Values() => [.. Enumerable.Range(0, Chunks * Rows * ChunkColumns).Select(_ => (ushort)(BitConverter.SingleToUInt32Bits((float)((2 * random.NextDouble()) - 1)) >> 16))];
    }

    [OneTimeTearDown]
    public void Dispose() => _unit?.Dispose();

    [TestCase("multiply_shared")]
    [TestCase("multiply_registers")]
    public void The_pipeline_is_right_for_every_seed(string kernel) => Assert.That(Enumerable.Range(1, Seeds).Count(seed => Fails(kernel, seed)), Is.Zero);

    [TestCase("no_full_wait")]
    [TestCase("no_empty_wait")]
    [TestCase("no_product_wait")]
    [TestCase("changed_registers")]
    [TestCase("early_release")]
    public void A_race_shows_with_most_seeds(string kernel) => Assert.That(Enumerable.Range(1, Seeds).Count(seed => Fails(kernel, seed)), Is.GreaterThan(Seeds / 2));

    [TestCase("no_proxy_fence", "without fence_async_proxy")]
    [TestCase("no_product_fence", "no wgmma_fence")]
    [TestCase("no_barrier_fence", "without fence_mbarrier_init")]
    [TestCase("no_expect", "deadlock")]
    public void A_missing_step_of_the_protocol_is_named(string kernel, string explanation)
    {
        for (int seed = 1; seed <= Seeds; seed++)
        {
            Assert.That(Run(kernel, seed).Explanation, Does.Contain(explanation));
        }
    }

    private bool Fails(string kernel, int seed)
    {
        (CUResult result, _, float[] product) = Run(kernel, seed);
        return result != CUResult.Success || !product.Zip(_product).All(pair => Math.Abs(pair.First - pair.Second) < 1e-3f);
    }

    private (CUResult Result, string Explanation, float[] Product) Run(string kernel, int seed)
    {
        ushort[] swizzled = new ushort[_b.Length];
        for (int i = 0; i < _b.Length; i++)
        {
            int row = i / ChunkColumns, piece = i % ChunkColumns / 8;
            swizzled[(row * ChunkColumns) + ((piece ^ (row & 7)) * 8) + (i % 8)] = _b[i];
        }
        using CudaDeviceVariable<ushort> a = _unit.Upload<ushort>(_a), b = _unit.Upload<ushort>(swizzled);
        using CudaDeviceVariable<float> product = _unit.Allocate<float>(Rows * Rows);
        _unit.SetSeed((ulong)seed);
        (CUResult result, string explanation) = _unit.RunFaulty(kernel, new LaunchShape(1, 160, SharedBytes), a.Pointer, b.Pointer, product.Pointer, Chunks);
        return (result, explanation, product.Download());
    }

    private static float Number(ushort bf16) => BitConverter.UInt32BitsToSingle((uint)bf16 << 16);
}
