using LlamaServe.Kernels.Cpu;

namespace LlamaServe.Kernels.Tests.MatMul;

[TestFixture("native")]
[TestFixture("portable")]
public sealed unsafe class MatMulTests(string features)
{
    private readonly CpuFeatures _features = features == "portable" ? CpuFeatures.Portable : CpuFeatures.Detect();

    [Test]
    public void Product_matches_double_precision_on_equally_rounded_activations(
        [GgufFormats] WeightFormat format, [Values(1, 2, 3, 4, 5, 6, 7, 8, 9, 21)] int rows)
    {
        SampleWeights weights = SampleWeights.Random(format, 83, 768, seed: 7);
        float[] input = MatMulReference.RandomActivations(rows, 768, seed: rows);
        float[] actual = MatMulReference.Run(_features, weights, input, rows);
        double nmse = MatMulReference.Nmse(actual, MatMulReference.Expect(weights, input, rows, rounded: true));
        Assert.That(nmse, Is.LessThan(1e-12));
    }

    [Test]
    public void Rounding_the_activations_costs_little([GgufFormats] WeightFormat format)
    {
        SampleWeights weights = SampleWeights.Random(format, 96, 2048, seed: 8);
        float[] input = MatMulReference.RandomActivations(6, 2048, seed: 8);
        float[] actual = MatMulReference.Run(_features, weights, input, 6);
        double nmse = MatMulReference.Nmse(actual, MatMulReference.Expect(weights, input, 6, rounded: false));
        double tolerance = PanelLayout.Of(format).Encoding switch
        {
            ActivationEncoding.Float32 => 1e-12,
            ActivationEncoding.BFloat16 => 1e-5,
            _ => 5e-4,
        };
        Assert.That(nmse, Is.LessThan(tolerance));
    }

    [TestCase(WeightFormat.F32, 1, 1)]
    [TestCase(WeightFormat.F32, 16, 172)]
    [TestCase(WeightFormat.F32, 31, 17)]
    [TestCase(WeightFormat.F16, 17, 65)]
    [TestCase(WeightFormat.BF16, 5, 33)]
    [TestCase(WeightFormat.BF16, 64, 704)]
    [TestCase(WeightFormat.Q8_0, 7, 32)]
    [TestCase(WeightFormat.Q8_0, 33, 96)]
    [TestCase(WeightFormat.Q4_0, 7, 32)]
    [TestCase(WeightFormat.Q4_0, 33, 96)]
    [TestCase(WeightFormat.Q4_K, 1, 256)]
    [TestCase(WeightFormat.Q6_K, 15, 256)]
    public void Sizes_need_not_be_multiples_of_panels_and_steps(WeightFormat format, int outputs, int columns)
    {
        SampleWeights weights = SampleWeights.Random(format, outputs, columns, seed: 9);
        float[] input = MatMulReference.RandomActivations(11, columns, seed: 9);
        float[] actual = MatMulReference.Run(_features, weights, input, 11);
        Assert.That(MatMulReference.Nmse(actual, MatMulReference.Expect(weights, input, 11, rounded: true)), Is.LessThan(1e-11));
    }

    [Test]
    public void Row_is_the_same_bit_for_bit_whatever_shares_the_call([GgufFormats] WeightFormat format)
    {
        const int MostRows = 40, Columns = 768, Outputs = 83;
        SampleWeights weights = SampleWeights.Random(format, Outputs, Columns, seed: 10);
        float[] input = MatMulReference.RandomActivations(MostRows, Columns, seed: 10);
        float[] all = MatMulReference.Run(_features, weights, input, MostRows, threads: 1);
        using var pool = new WorkerPool(3);
        using var matMul = new Cpu.MatMul(pool, _features);
        using PackedMatrix matrix = MatMulReference.Pack(pool, weights);
        for (int rows = 1; rows < MostRows; rows++)
        {
            float[] output = new float[rows * Outputs];
            fixed (float* x = &input[(MostRows - rows) * Columns], y = output)
            {
                matMul.Run(new MatMulArguments { Input = x, InputStride = Columns, Rows = rows, Output = y, OutputStride = Outputs }, matrix);
            }

            // The last rows of the input, so that a row changes its place in its tile as well.
            Assert.That(output.AsSpan().SequenceEqual(all.AsSpan((MostRows - rows) * Outputs)), $"{rows} rows");
        }
    }

    [Test]
    public void Portable_and_assembled_kernels_agree_bit_for_bit([GgufFormats] WeightFormat format)
    {
        SampleWeights weights = SampleWeights.Random(format, 83, 768, seed: 11);
        float[] input = MatMulReference.RandomActivations(9, 768, seed: 11);
        float[] actual = MatMulReference.Run(_features, weights, input, 9);
        float[] portable = MatMulReference.Run(CpuFeatures.Portable, weights, input, 9);
        if (format == WeightFormat.BF16)
        {
            // VDPBF16PS rounds between its two products in its own way.
            Assert.That(MatMulReference.Nmse(actual, Array.ConvertAll(portable, x => (double)x)), Is.LessThan(1e-12));
        }
        else
        {
            Assert.That(actual, Is.EqualTo(portable));
        }
    }

    [Test]
    public void Bias_then_residual_are_added_in_place_and_nothing_else_is_touched([GgufFormats] WeightFormat format, [Values(1, 5, 19)] int rows)
    {
        const int Columns = 256, Outputs = 45, Stride = 50, InputStride = 300;
        SampleWeights weights = SampleWeights.Random(format, Outputs, Columns, seed: 12);
        float[] dense = MatMulReference.RandomActivations(rows, Columns, seed: 12);
        float[] plain = MatMulReference.Run(_features, weights, dense, rows);
        float[] input = new float[rows * InputStride];
        float[] output = MatMulReference.RandomActivations(rows, Stride, seed: 13), before = [.. output];
        float[] bias = MatMulReference.RandomActivations(1, Outputs, seed: 14);
        for (int row = 0; row < rows; row++)
        {
            dense.AsSpan(row * Columns, Columns).CopyTo(input.AsSpan(row * InputStride));
        }

        using var pool = new WorkerPool(2);
        using var matMul = new Cpu.MatMul(pool, _features);
        using PackedMatrix matrix = MatMulReference.Pack(pool, weights);
        fixed (float* x = input, y = output, b = bias)
        {
            matMul.Run(
                new MatMulArguments
                {
                    Input = x,
                    InputStride = InputStride,
                    Rows = rows,
                    Output = y,
                    OutputStride = Stride,
                    Bias = b,
                    Residual = y,
                    ResidualStride = Stride,
                },
                matrix);
        }

        for (int i = 0; i < output.Length; i++)
        {
            int row = i / Stride, column = i % Stride;
            float expected = column < Outputs ? plain[row * Outputs + column] + bias[column] + before[i] : before[i];
            Assert.That(output[i], Is.EqualTo(expected), $"row {row}, column {column}");
        }
    }

    [TestCase(float.NaN)]
    [TestCase(float.PositiveInfinity)]
    public void Values_that_are_not_finite_spoil_their_own_row_only(float value)
    {
        foreach (WeightFormat format in GgufFormatsAttribute.All)
        {
            SampleWeights weights = SampleWeights.Random(format, 16, 256, seed: 15);
            float[] input = MatMulReference.RandomActivations(3, 256, seed: 15);
            float[] clean = MatMulReference.Run(_features, weights, input, 3);
            input[256 + 77] = value;
            float[] spoilt = MatMulReference.Run(_features, weights, input, 3);
            Assert.That(spoilt.AsSpan(16, 16).ToArray(), Has.None.Matches<float>(float.IsFinite), $"{format}");
            Assert.That(spoilt.AsSpan(0, 16).SequenceEqual(clean.AsSpan(0, 16)), $"{format}");
            Assert.That(spoilt.AsSpan(32, 16).SequenceEqual(clean.AsSpan(32, 16)), $"{format}");
        }
    }

    [Test]
    public void Zeros_give_zeros([GgufFormats] WeightFormat format)
    {
        SampleWeights weights = SampleWeights.Random(format, 16, 256, seed: 16);
        Assert.That(MatMulReference.Run(_features, weights, new float[3 * 256], 3), Is.All.EqualTo(0f));
    }

    [Test]
    public void A_reserved_product_allocates_nothing([GgufFormats] WeightFormat format)
    {
        SampleWeights weights = SampleWeights.Random(format, 64, 512, seed: 17);
        float[] input = MatMulReference.RandomActivations(130, 512, seed: 17), output = new float[130 * 64];
        using var pool = new WorkerPool(2);
        using var matMul = new Cpu.MatMul(pool, _features);
        using PackedMatrix matrix = MatMulReference.Pack(pool, weights);
        fixed (float* x = input, y = output)
        {
            var arguments = new MatMulArguments { Input = x, InputStride = 512, Rows = 130, Output = y, OutputStride = 64 };
            for (int warmUp = 0; warmUp < 20; warmUp++)
            {
                matMul.Run(arguments, matrix);
            }

            long before = GC.GetAllocatedBytesForCurrentThread();
            matMul.Run(arguments, matrix);
            Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
        }
    }
}
