using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda;

[Category(Toolchain.Emulated)]
public sealed class RmsNormKernelTests
{
    private const float Epsilon = 1e-5f;

    [TestCase(GpuArchitecture.Sm80)]
    [TestCase(GpuArchitecture.Sm90a)]
    public void F32_rows_of_any_width_agree_with_the_reference(object architecture)
    {
        using EmulatedUnit unit = new("rms_norm.cu", (GpuArchitecture)architecture);
        foreach (int width in new[] { 1, 7, 8, 64, 80, 2048, 2049, 16384, 16392, 20001 })
        {
            foreach (bool residual in new[] { false, true })
            {
                Check(unit, width, rows: 3, residual);
            }
        }
    }

    [Test]
    public void A_row_does_not_depend_on_the_other_rows()
    {
        using EmulatedUnit unit = new("rms_norm.cu");
        float[] x = Uniform(new Random(8), 5 * 300), gain = Uniform(new Random(9), 300);
        float[] together = Run(unit, "rms_norm_f32_f32", x, null, gain, 5, 300).Y;
        for (int row = 0; row < 5; row++)
        {
            Assert.That(Run(unit, "rms_norm_f32_f32", x[(row * 300)..((row + 1) * 300)], null, gain, 1, 300).Y, Is.EqualTo(together[(row * 300)..((row + 1) * 300)]));
        }
    }

    private static void Check(EmulatedUnit unit, int width, int rows, bool withResidual)
    {
        Random random = new(width);
        float[] x = Uniform(random, rows * width), gain = Uniform(random, width);
        float[]? residual = withResidual ? Uniform(random, rows * width) : null;
        (float[] y, float[]? sum) = Run(unit, "rms_norm_f32_f32", x, residual, gain, rows, width);
        double[] input = [.. x.Select((value, i) => (double)(value + (residual?[i] ?? 0)))];
        double[] expected = ReferenceOps.RmsNorm(input, [.. gain.Select(value => (double)value)], Epsilon);
        Assert.That(Tolerances.NormalizedMeanSquareError(y, expected), Is.LessThan(Tolerances.F32), $"width {width}, residual {withResidual}");
        if (sum is not null)
        {
            Assert.That(Tolerances.NormalizedMeanSquareError(sum, input), Is.LessThan(Tolerances.F32));
        }
    }

    private static (float[] Y, float[]? Residual) Run(EmulatedUnit unit, string kernel, float[] x, float[]? residual, float[] gain, int rows, int width)
    {
        using CudaDeviceVariable<float> input = unit.Upload<float>(x), gains = unit.Upload<float>(gain), y = unit.Allocate<float>(rows * width);
        using CudaDeviceVariable<float>? sum = residual is null ? null : unit.Upload<float>(residual);
        unit.Run(
            kernel, new LaunchShape(rows, 512, 64),
            input.Pointer, width, sum?.Pointer ?? new DevicePtr(0), width, gains.Pointer, y.Pointer, width, width, Epsilon);
        return (y.Download(), sum?.Download());
    }

    private static float[] Uniform(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => (float)((2 * random.NextDouble()) - 1))];
}
