using LlamaServe.Kernels.Cpu;

namespace LlamaServe.Kernels.Tests.MatMul;

public sealed unsafe class PackedMatrixTests
{
    private WorkerPool _pool = null!;

    [OneTimeSetUp]
    public void StartPool() => _pool = new WorkerPool(2);

    [OneTimeTearDown]
    public void StopPool() => _pool.Dispose();

    [Test]
    public void Stacked_parts_equal_one_matrix_of_all_their_rows([GgufFormats] WeightFormat format)
    {
        SampleWeights whole = SampleWeights.Random(format, 45, 512, seed: 20);
        int rowBytes = whole.Bytes.Length / 45;
        fixed (byte* source = whole.Bytes)
        {
            var first = new WeightData("first", format, 7, 512, (nint)source);
            var second = new WeightData("second", format, 38, 512, (nint)source + 7 * rowBytes);
            using PackedMatrix stacked = PackedMatrix.Create(_pool, [first, second]);
            using PackedMatrix single = MatMulReference.Pack(_pool, whole);
            Assert.That(stacked.Rows, Is.EqualTo(45));
            Assert.That(
                new ReadOnlySpan<byte>(stacked.Panel(0), (int)stacked.ByteLength)
                    .SequenceEqual(new ReadOnlySpan<byte>(single.Panel(0), (int)single.ByteLength)));
        }
    }

    [Test]
    public void Decoded_row_is_what_the_checkpoint_says([GgufFormats] WeightFormat format)
    {
        SampleWeights weights = SampleWeights.Random(format, 33, 768, seed: 21);
        using PackedMatrix matrix = MatMulReference.Pack(_pool, weights);
        float[] decoded = new float[768];
        foreach (int row in (int[])[0, 5, 15, 16, 31, 32])
        {
            fixed (float* target = decoded)
            {
                matrix.DecodeRow(row, target);
            }

            // A product of a half and a small integer is exact in F32; Q4_K subtracts two of them and rounds once.
            double tolerance = format == WeightFormat.Q4_K ? 1e-13 : 0;
            Assert.That(MatMulReference.Nmse(decoded, weights.Row(row)), Is.LessThanOrEqualTo(tolerance), $"row {row}");
        }
    }

    [TestCase(WeightFormat.Q4_0, 33)]
    [TestCase(WeightFormat.Q6_K, 128)]
    [TestCase(WeightFormat.F32, 0)]
    public void Rows_of_broken_blocks_are_refused_by_name(WeightFormat format, int columns) =>
        Assert.That(
            () => PackedMatrix.Create(_pool, [new WeightData("blk.0.attn_q", format, 4, columns, 0)]),
            Throws.ArgumentException.With.Message.Contains("blk.0.attn_q"));

    [TestCase(WeightFormat.F16, 64)]
    [TestCase(WeightFormat.F32, 32)]
    public void Parts_that_do_not_stack_are_refused_by_name(WeightFormat format, int columns) =>
        Assert.That(
            () => PackedMatrix.Create(
                _pool, [new WeightData("upper", WeightFormat.F32, 4, 64, 0), new WeightData("lower", format, 4, columns, 0)]),
            Throws.ArgumentException.With.Message.Contains("lower"));

    [Test]
    public void Packing_costs_no_memory_beyond_the_checkpoint_for_whole_panels()
    {
        foreach (WeightFormat format in GgufFormatsAttribute.All)
        {
            using PackedMatrix matrix = MatMulReference.Pack(_pool, SampleWeights.Random(format, 64, 1024, seed: 22));
            double growth = matrix.ByteLength / (double)format.Bytes(64 * 1024);
            Assert.That(growth, Is.LessThan(1.03), $"{format}");
        }
    }
}
