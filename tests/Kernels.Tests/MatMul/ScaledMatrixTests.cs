using LlamaServe.Kernels.Cpu;

namespace LlamaServe.Kernels.Tests.MatMul;

/// <summary>What panels hold of weights whose scales lie beside them.</summary>
public sealed unsafe class ScaledMatrixTests
{
    private WorkerPool _pool = null!;

    [OneTimeSetUp]
    public void StartPool() => _pool = new WorkerPool(2);

    [OneTimeTearDown]
    public void StopPool() => _pool.Dispose();

    [TestCase(WeightFormat.Int4, 0, false)]
    [TestCase(WeightFormat.Int4, 32, false)]
    [TestCase(WeightFormat.Int4, 128, true)]
    [TestCase(WeightFormat.Int8, 0, false)]
    [TestCase(WeightFormat.Int8, 64, false)]
    [TestCase(WeightFormat.Int8Dynamic, 0, false)]
    public void Quants_and_scales_of_F16_keep_their_bits(WeightFormat format, int groupSize, bool hasZeroPoints) =>
        Assert.That(Error(new ScaledWeights(format, 33, 512, groupSize, hasZeroPoints, seed: 1)), Is.Zero);

    [TestCase(WeightFormat.Int8, 128, true)]
    [TestCase(WeightFormat.Fp8, 0, false)]
    public void What_no_panel_holds_is_rounded_to_F16(WeightFormat format, int groupSize, bool hasZeroPoints) =>
        Assert.That(Error(new ScaledWeights(format, 33, 512, groupSize, hasZeroPoints, seed: 2)), Is.Positive.And.LessThan(Math.Pow(2, -11)));

    [Test]
    public void Other_scales_are_rounded_to_F16() =>
        Assert.That(Error(new ScaledWeights(WeightFormat.Int8, 33, 512, 64, false, seed: 3, random => random + 0.1)), Is.Positive.And.LessThan(Math.Pow(2, -11)));

    [TestCase(WeightFormat.Int4, 70)]
    [TestCase(WeightFormat.Int8, 37)]
    [TestCase(WeightFormat.Fp8, 37)]
    public void One_group_a_row_takes_rows_of_any_length_and_stacks(WeightFormat format, int columns)
    {
        ScaledWeights upper = new(format, 7, columns, 0, false, 4), lower = new(format, 18, columns, 0, false, 5);
        float[] x = MatMulReference.RandomActivations(3, columns, seed: 6), y = new float[3 * 25];
        using Cpu.MatMul matMul = new(_pool, CpuFeatures.Portable);
        using PackedMatrix matrix = PackedMatrix.Create(_pool, [upper.Data, lower.Data]);
        fixed (float* input = x, output = y)
        {
            matMul.Run(new MatMulArguments { Input = input, InputStride = columns, Rows = 3, Output = output, OutputStride = 25 }, matrix);
        }
        double[] weights = [.. upper.Values(), .. lower.Values()];
        double[] expected = ReferenceOps.Linear(Array.ConvertAll(x, value => (double)value), weights, columns, null, null);
        Assert.That(MatMulReference.Nmse(y, expected), Is.LessThan(Tolerances.Int8));
    }

    /// <summary>The largest relative error of a weight.</summary>
    private double Error(ScaledWeights weights)
    {
        double[] expected = weights.Values();
        float[] row = new float[weights.Data.Columns];
        double largest = 0;
        using PackedMatrix matrix = PackedMatrix.Create(_pool, [weights.Data]);
        for (int i = 0; i < expected.Length; i++)
        {
            if (i % row.Length == 0)
            {
                fixed (float* values = row)
                {
                    matrix.DecodeRow(i / row.Length, values);
                }
            }
            double error = Math.Abs(row[i % row.Length] - expected[i]);
            largest = Math.Max(largest, error == 0 ? 0 : error / Math.Max(Math.Abs(expected[i]), 1e-4));
        }
        return largest;
    }
}
