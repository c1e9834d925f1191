using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Bench.Gpu;

/// <summary>What no kernel can exceed on this device, measured in the same run.</summary>
/// <param name="Device">Name and architecture.</param>
/// <param name="CopyBytesPerSecond">Of a large copy on the device, bytes read and bytes written both counted.</param>
/// <param name="Bf16Operations">Dense multiplications and additions a second of the tensor cores.</param>
/// <param name="Int8Operations">Likewise.</param>
/// <param name="Fp8Operations">Likewise; null before sm_89.</param>
internal sealed record GpuLimits(string Device, double CopyBytesPerSecond, double Bf16Operations, double Int8Operations, double? Fp8Operations)
{
    public const string PeakUnit = "tensor_peak.cu";

    /// <summary>The kernels and what measures the tensor cores.</summary>
    public static KernelSources Sources { get; } = KernelSources.Embedded.With(PeakUnit, ReadUnit());

    /// <summary>Seconds of reading or writing bytes.</summary>
    public double Bytes(double bytes) => bytes / CopyBytesPerSecond;

    public override string ToString() =>
        $"{Device}: copies {CopyBytesPerSecond / 1e12:F2} TB/s, tensor cores {Bf16Operations / 1e12:F0} BF16, {Int8Operations / 1e12:F0} INT8, "
        + $"{(Fp8Operations is { } fp8 ? $"{fp8 / 1e12:F0}" : "no")} FP8 Tops/s";

    public static GpuLimits Measure(GpuOptions options)
    {
        CudaPlatform platform = Platform(options);
        using CudaContext context = new(platform.Driver, CudaDevice.Get(platform.Driver, options.Ordinal));
        using CudaStream stream = new(context);
        using CudaModule module = platform.LoadModule(context, PeakUnit);
        using GpuClock clock = new(context, stream, options.Tiny);
        bool hasFp8 = context.Device is { Major: > 8 } or { Minor: >= 9 };
        return new GpuLimits(
            $"{context.Device.Name} ({GpuArchitectures.Of(context.Device).Name()}, {context.Device.MultiprocessorCount} SMs, {context.Device.TotalBytes >> 30} GiB)",
            Copy(context, stream, clock, options.Tiny ? 1 << 20 : 4L << 30),
            Peak("bf16", 1),
            Peak("s8", 2),
            hasFp8 ? Peak("e4m3", 2) : null);

        double Peak(string type, int operationsFactor) =>
            TensorPeak.Measure(module.GetKernel($"tensor_peak_{type}"), context, stream, clock, options.Tiny) * operationsFactor;
    }

    /// <summary>Memory of the device that nobody holds now.</summary>
    public static long FreeBytes(GpuOptions options)
    {
        CudaPlatform platform = Platform(options);
        using CudaContext context = new(platform.Driver, CudaDevice.Get(platform.Driver, options.Ordinal));
        return context.FreeBytes();
    }

    private static CudaPlatform Platform(GpuOptions options) => options.IsEmulated ? CudaPlatform.Emulated(Sources) : CudaPlatform.Nvidia(Sources);

    private static double Copy(CudaContext context, CudaStream stream, GpuClock clock, long bytes)
    {
        using CudaDeviceVariable<byte> from = new(context, bytes), to = new(context, bytes);
        stream.Fill(from.Pointer, 0x5A, bytes);
        return 2 * bytes / clock.Seconds(_ => stream.CopyOnDevice(to.Pointer, from.Pointer, bytes), 1);
    }

    private static string ReadUnit()
    {
        using StreamReader reader = new(typeof(GpuLimits).Assembly.GetManifestResourceStream(PeakUnit)!);
        return reader.ReadToEnd();
    }
}
