using LlamaServe.Bench.Gpu;
using LlamaServe.Bench.Models;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cpu;

namespace LlamaServe.Bench.Tests;

public sealed unsafe class RandomWeightsTests
{
    private const int Rows = 64, Columns = 512;

    [TestCase(WeightFormat.BF16, 0)]
    [TestCase(WeightFormat.Q4_0, 0)]
    [TestCase(WeightFormat.Q4_K, 0)]
    [TestCase(WeightFormat.Q6_K, 0)]
    [TestCase(WeightFormat.Int4, 128)]
    [TestCase(WeightFormat.Int4, 64, true)]
    [TestCase(WeightFormat.Int8, 32, true)]
    [TestCase(WeightFormat.Int8, 0)]
    [TestCase(WeightFormat.Int8Dynamic, 0)]
    [TestCase(WeightFormat.Fp8, 0)]
    public void Weights_of_every_format_are_as_large_as_a_models(WeightFormat format, int groupSize, bool hasZeros = false)
    {
        using RandomWeights weights = new(format, Rows * Columns, groupSize, hasZeros);
        using CpuBackend backend = new(new CpuBackendOptions { Threads = 1 });
        using Weight matrix = backend.LoadLinear([weights.Matrix("test", Rows, Columns)]);
        float[] x = new float[Columns];
        NormalNoise.Fill(x, seed: 5, stream: 0, deviation: 1);
        fixed (float* values = x)
        {
            Tensor y = backend.Linear(new Tensor((nint)values, 1, Columns, Columns, DType.F32), matrix);
            float[] products = new Span<float>((float*)y.Address, Rows).ToArray();
            // A sum of 512 products of N(0, 0.02²) and N(0, 1) is N(0, 0.45²).
            Assert.That(Math.Sqrt(products.Average(value => (double)value * value)), Is.InRange(0.25, 0.7));
        }
    }

    [Test]
    public void The_buffer_is_gone_after_use_and_as_large_as_the_largest_weight()
    {
        using RandomWeights weights = new(WeightFormat.F32, 3_000_000);
        float* last = (float*)weights.Matrix("test", 1, 3_000_000).Address + 2_999_999;
        Assert.That(float.IsFinite(*last));
    }

    [Test]
    public void Least_bytes_are_quants_and_sixteen_bits_a_scale()
    {
        Assert.That(RandomWeights.LeastBytes(WeightFormat.Int4, 128, 10, 256), Is.EqualTo(10 * (128 + 4)));
        using RandomWeights zeros = new(WeightFormat.Int4, 10 * 256, 128, hasZeros: true);
        Assert.That(zeros.LeastBytes(10, 256), Is.EqualTo(10 * (128 + 4 + 2)), "and eight a zero point");
        Assert.That(RandomWeights.LeastBytes(WeightFormat.Fp8, 0, 10, 256), Is.EqualTo(10 * (256 + 2)));
        Assert.That(RandomWeights.LeastBytes(WeightFormat.Q4_0, 0, 10, 256), Is.EqualTo(10 * 8 * 18));
    }
}
