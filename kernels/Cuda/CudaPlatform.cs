using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>A driver, and the images of kernels that it loads.</summary>
internal sealed class CudaPlatform
{
    private readonly KernelImages _images;

    private CudaPlatform(DriverApi driver, KernelImages images)
    {
        Driver = driver;
        _images = images;
    }

    public DriverApi Driver { get; }

    /// <summary>NVIDIA's driver, and cubins.</summary>
    /// <exception cref="CudaUnavailableException">There is no usable driver or no GPU.</exception>
    public static CudaPlatform Nvidia(KernelSources sources) => new(
        DriverApi.Load(DriverApi.SystemLibrary),
        new KernelImages(sources, () => new NvrtcCompiler(NvrtcApi.Load()), CacheFolder.Of("kernels"), AheadOfTimeImages.Default));

    /// <summary>The emulated driver, which g++ makes on first use, and kernels for the host.</summary>
    /// <exception cref="CudaUnavailableException">There is no C++ compiler.</exception>
    public static CudaPlatform Emulated(KernelSources sources)
    {
        string folder = CacheFolder.Of("emulated");
        HostCompiler compiler = new(folder);
        return new CudaPlatform(DriverApi.Load(compiler.BuildDriver(sources)), new KernelImages(sources, () => compiler, folder));
    }

    /// <summary>Loads a unit onto the context's device; compiles it where nobody has.</summary>
    /// <param name="unit">A source file's name, "rms_norm.cu".</param>
    /// <exception cref="CudaUnavailableException">There is no image and no compiler, or the device is of a kind without kernels.</exception>
    public CudaModule LoadModule(CudaContext context, string unit) => new(context, _images.Get(unit, GpuArchitectures.Of(context.Device)));
}
