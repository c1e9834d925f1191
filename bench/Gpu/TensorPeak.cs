using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Bench.Gpu;

/// <summary>Launches of tensor_peak.cu.</summary>
internal static class TensorPeak
{
    /// <summary>As the unit declares them: threads of a block, products of an iteration, and their sizes on tensor cores of 16-bit types.</summary>
    private const int Threads = 256, SharedBytes = 40 * 1024;

    /// <summary>2 · 64 · 256 · 16 for each of a block's two warpgroups, four times: both paths of the unit do as many an iteration.</summary>
    private const double OperationsPerIteration = 2.0 * 64 * 256 * 16 * 2 * 4;

    /// <summary>16-bit operations a second; 8-bit products have twice the columns.</summary>
    public static double Measure(CudaKernel kernel, CudaContext context, CudaStream stream, GpuClock clock, bool isQuick)
    {
        int blocks = isQuick ? 1 : context.Device.MultiprocessorCount, iterations = isQuick ? 2 : 8192;
        using CudaDeviceVariable<float> sink = new(context, (long)blocks * Threads);
        double seconds = clock.Seconds(
            _ => kernel.Launch(stream, new LaunchShape(blocks, Threads, SharedBytes), sink.Pointer, iterations), 1);
        return blocks * (double)iterations * OperationsPerIteration / seconds;
    }
}
