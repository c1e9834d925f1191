using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Cuda.Memory;

namespace LlamaServe.Kernels.Cuda;

/// <summary>What every operation of a CUDA backend shares: a device's context, one stream, its memory and its compiled kernels.</summary>
internal sealed class CudaRuntime : IDisposable
{
    /// <summary>The emulator fills memory with a pattern when it is allocated, so a whole device's would take seconds.</summary>
    private const long EmulatedPoolBytes = 256L << 20;

    private readonly CudaPlatform _platform;
    private readonly Dictionary<string, CudaModule> _modules = [];

    /// <summary>Not on the emulated device: it notices what runs over the end of an allocation of its own.</summary>
    private readonly bool _chunksFromPool;

    /// <exception cref="CudaUnavailableException">No driver, no such GPU, an unsupported one, too little memory, or no compiler.</exception>
    public CudaRuntime(CudaBackendOptions options)
    {
        _chunksFromPool = !options.Emulated;
        _platform = options.Emulated ? CudaPlatform.Emulated(KernelSources.Embedded) : CudaPlatform.Nvidia(KernelSources.Embedded);
        Device = CudaDevice.Get(_platform.Driver, options.Ordinal);
        Context = new CudaContext(_platform.Driver, Device);
        Stream = new CudaStream(Context) { IsProgrammatic = options.ProgrammaticLaunches && _platform.Driver.SupportsProgrammaticLaunches(Device) };
        Memory = new DevicePool(Context, PoolBytes(options));
        Uploads = new UploadRing(Context);
    }

    public CudaDevice Device { get; }

    public CudaContext Context { get; }

    /// <summary>All work of the backend, in order.</summary>
    public CudaStream Stream { get; }

    /// <summary>Changes when memory that launches name has moved: what was captured before must not be played again.</summary>
    public int AddressVersion { get; private set; }

    /// <summary>Device memory that lives as long as the backend.</summary>
    public DevicePool Memory { get; }

    public UploadRing Uploads { get; }

    /// <summary>"sm_90a".</summary>
    public string ArchitectureName => GpuArchitectures.Of(Device).Name();

    /// <summary>A kernel, compiled and loaded when its file is asked for the first time.</summary>
    /// <param name="unit">Name of the source file.</param>
    public CudaKernel Kernel(string unit, string name) => Module(unit).GetKernel(name);

    /// <summary>The kernels of a source file.</summary>
    public CudaModule Module(string unit)
    {
        if (!_modules.TryGetValue(unit, out CudaModule? module))
        {
            module = _platform.LoadModule(Context, unit);
            _modules.Add(unit, module);
        }
        return module;
    }

    /// <summary>Whoever replaces memory that a later step's launches name says so.</summary>
    public void AddressesMoved() => AddressVersion++;

    /// <summary>Memory for results of a step.</summary>
    public ArenaChunk AllocateChunk(long bytes)
    {
        if (_chunksFromPool && bytes <= Memory.AvailableBytes)
        {
            return new ArenaChunk((nint)Memory.Take(bytes).Address, bytes, null);
        }
        CudaDeviceVariable<byte> memory = new(Context, bytes);
        return new ArenaChunk((nint)memory.Pointer.Address, bytes, memory);
    }

    public void Dispose()
    {
        Uploads.Dispose();
        Memory.Dispose();
        foreach (CudaModule module in _modules.Values)
        {
            module.Dispose();
        }
        Stream.Dispose();
        Context.Dispose();
    }

    private long PoolBytes(CudaBackendOptions options) => options.PoolBytes
        ?? (options.Emulated ? EmulatedPoolBytes : DevicePool.LargestByteLength(Context, options.ReservedBytes));
}
