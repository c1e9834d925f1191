using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>A device that tests run kernels on; one of each kind in a process.</summary>
internal sealed class TestDevice
{
    public const string Emulated = "cuda-emulated";

    public const string Gpu = "cuda";

    private const string TestUnit = "launches.cu";

    // A failure is not kept: each test reports it.
    private static readonly Lazy<TestDevice> EmulatedDevice = new(() => new TestDevice(CudaPlatform.Emulated(Sources)), LazyThreadSafetyMode.PublicationOnly);
    private static readonly Lazy<TestDevice> GpuDevice = new(() => new TestDevice(CudaPlatform.Nvidia(Sources)), LazyThreadSafetyMode.PublicationOnly);

    private TestDevice(CudaPlatform platform)
    {
        Platform = platform;
        Context = new CudaContext(platform.Driver, CudaDevice.Get(platform.Driver, 0));
        Kernels = platform.LoadModule(Context, TestUnit);
    }

    public CudaPlatform Platform { get; }

    public CudaContext Context { get; }

    /// <summary>Those of launches.cu.</summary>
    public CudaModule Kernels { get; }

    private static KernelSources Sources
    {
        get
        {
            using StreamReader reader = new(typeof(TestDevice).Assembly.GetManifestResourceStream(TestUnit)!);
            return KernelSources.Embedded.With(TestUnit, reader.ReadToEnd());
        }
    }

    /// <summary>The device of a kind, current on this thread; where there is none, the test is skipped.</summary>
    public static TestDevice Require(string kind)
    {
        TestDevice device;
        try
        {
            device = (kind == Gpu ? GpuDevice : EmulatedDevice).Value;
        }
        catch (CudaUnavailableException exception)
        {
            return Toolchain.Missing<TestDevice>(kind == Gpu ? "gpu" : "g++", $"{exception.Message} What runs on {kind} is NOT checked");
        }
        device.Context.SetCurrent();
        return device;
    }
}
