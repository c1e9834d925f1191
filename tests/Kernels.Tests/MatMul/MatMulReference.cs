using LlamaServe.Kernels.Cpu;

namespace LlamaServe.Kernels.Tests.MatMul;

/// <summary>One product run on the kernels under test, and the same in double precision.</summary>
internal static unsafe class MatMulReference
{
    public static float[] RandomActivations(int rows, int columns, int seed)
    {
        var random = new Random(seed);
        float[] values = new float[rows * columns];
        for (int i = 0; i < values.Length; i++)
        {
            // Gaussian, with an outlier now and then as in real hidden states.
            double gauss = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
            values[i] = (float)(gauss * (random.Next(200) == 0 ? 20 : 1));
        }

        return values;
    }

    /// <summary>x · Wᵀ by the kernels.</summary>
    public static float[] Run(CpuFeatures features, SampleWeights weights, float[] input, int rows, int threads = 2)
    {
        using var pool = new WorkerPool(threads);
        using var matMul = new Cpu.MatMul(pool, features);
        using PackedMatrix matrix = Pack(pool, weights);
        float[] output = new float[rows * weights.Rows];
        fixed (float* x = input, y = output)
        {
            matMul.Run(
                new MatMulArguments { Input = x, InputStride = weights.Columns, Rows = rows, Output = y, OutputStride = weights.Rows },
                matrix);
        }

        return output;
    }

    public static PackedMatrix Pack(WorkerPool pool, SampleWeights weights)
    {
        fixed (byte* source = weights.Bytes)
        {
            return PackedMatrix.Create(
                pool, [new WeightData("weights", weights.Format, weights.Rows, weights.Columns, (nint)source)]);
        }
    }

    /// <summary>x · Wᵀ in double precision; with <paramref name="rounded"/>, of activations rounded as the format asks for.</summary>
    public static double[] Expect(SampleWeights weights, float[] input, int rows, bool rounded)
    {
        double[] expected = new double[rows * weights.Rows];
        double[] activations = rounded ? Round(weights.Format, input) : Array.ConvertAll(input, x => (double)x);
        for (int n = 0; n < weights.Rows; n++)
        {
            double[] row = weights.Row(n);
            for (int m = 0; m < rows; m++)
            {
                double sum = 0;
                for (int k = 0; k < row.Length; k++)
                {
                    sum += activations[m * row.Length + k] * row[k];
                }

                expected[m * weights.Rows + n] = sum;
            }
        }

        return expected;
    }

    /// <summary>‖actual − expected‖² / ‖expected‖².</summary>
    public static double Nmse(float[] actual, double[] expected)
    {
        double error = 0, power = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            error += (actual[i] - expected[i]) * (actual[i] - expected[i]);
            power += expected[i] * expected[i];
        }

        return error / power;
    }

    private static double[] Round(WeightFormat format, float[] input)
    {
        double[] rounded = new double[input.Length];
        for (int i = 0; i < input.Length; i++)
        {
            rounded[i] = format switch
            {
                WeightFormat.F32 or WeightFormat.F16 => input[i],
                WeightFormat.BF16 => RoundToBFloat16(input[i]),
                _ => RoundToInt8(input.AsSpan(i / 32 * 32, 32), i % 32),
            };
        }

        return rounded;
    }

    private static double RoundToInt8(ReadOnlySpan<float> block, int element)
    {
        float magnitude = 0;
        foreach (float value in block)
        {
            magnitude = Math.Max(magnitude, Math.Abs(value));
        }

        return Math.Round(block[element] * (127 / magnitude), MidpointRounding.ToEven) * (magnitude / 127);
    }

    private static double RoundToBFloat16(float value)
    {
        double ulp = Math.Pow(2, Math.Floor(Math.Log2(Math.Abs(value))) - 7);
        return Math.Round(value / ulp, MidpointRounding.ToEven) * ulp;
    }
}
