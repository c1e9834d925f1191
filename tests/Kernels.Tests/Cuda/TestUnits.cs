using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>Units of kernels on a test's device, compiled for its architecture, or on the emulated device for another.</summary>
/// <param name="architecture">Null for the device's own.</param>
internal sealed class TestUnits(TestDevice device, GpuArchitecture? architecture) : IDisposable
{
    private readonly Dictionary<string, CudaModule> _modules = [];

    public CudaModule Load(string unit)
    {
        if (!_modules.TryGetValue(unit, out CudaModule? module))
        {
            module = architecture is { } other ? Compile(unit, other) : device.Platform.LoadModule(device.Context, unit);
            _modules.Add(unit, module);
        }
        return module;
    }

    public void Dispose()
    {
        foreach (CudaModule module in _modules.Values)
        {
            module.Dispose();
        }
    }

    private CudaModule Compile(string unit, GpuArchitecture other)
    {
        string folder = CacheFolder.Of("emulated");
        HostCompiler compiler = Toolchain.RequireHostCompiler(folder);
        return new CudaModule(device.Context, new KernelImages(KernelSources.Embedded, () => compiler, folder).Get(unit, other));
    }
}
