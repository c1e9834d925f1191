using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>The kernels of one source file, on the emulated device. A unit of the tests' own comes from their resources.</summary>
internal sealed unsafe class EmulatedUnit : IDisposable
{
    private readonly nint _library;
    private readonly CudaContext _context;
    private readonly CudaStream _stream;
    private readonly CudaModule _module;

    public EmulatedUnit(string unit, GpuArchitecture architecture = GpuArchitecture.Sm90a)
    {
        string folder = CacheFolder.Of("emulated");
        HostCompiler compiler = Toolchain.RequireHostCompiler(folder);
        KernelSources sources = Sources(unit);
        string driver = compiler.BuildDriver(KernelSources.Embedded);
        DriverApi api = DriverApi.Load(driver);
        _library = NativeLibrary.Load(driver);
        _context = new CudaContext(api, CudaDevice.Get(api, 0));
        _stream = new CudaStream(_context);
        _module = new CudaModule(_context, new KernelImages(sources, () => compiler, folder).Get(unit, architecture));
    }

    /// <summary>What the emulator says about the error that the last call returned.</summary>
    public string Explanation => Marshal.PtrToStringUTF8((nint)((delegate* unmanaged<byte*>)NativeLibrary.GetExport(_library, "llamaserve_emulated_last_error"))())!;

    /// <summary>For all launches until <see cref="Dispose"/>.</summary>
    public void SetSeed(ulong seed) => ((delegate* unmanaged<ulong, void>)NativeLibrary.GetExport(_library, "llamaserve_emulated_set_seed"))(seed);

    /// <summary>Forgets that a kernel failed.</summary>
    public void Reset() => ((delegate* unmanaged<void>)NativeLibrary.GetExport(_library, "llamaserve_emulated_reset"))();

    public CudaDeviceVariable<T> Allocate<T>(int length)
        where T : unmanaged => new(_context, length);

    public CudaPageLockedHostMemory AllocateHost(int byteLength) => new(_context, byteLength);

    public CudaDeviceVariable<T> Upload<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        CudaDeviceVariable<T> memory = new(_context, values.Length);
        memory.CopyToDevice(values);
        return memory;
    }

    /// <summary>Launches and waits.</summary>
    /// <exception cref="CudaException">A check of the emulator failed.</exception>
    public void Run(string kernel, LaunchShape shape, params ReadOnlySpan<KernelArgument> arguments)
    {
        _module.GetKernel(kernel).Launch(_stream, shape, arguments);
        _stream.Synchronize();
    }

    /// <summary>Runs a kernel whose memory accesses are counted.</summary>
    public IReadOnlyList<PlaceAccesses> RunRecorded(string kernel, LaunchShape shape, params ReadOnlySpan<KernelArgument> arguments)
    {
        var setLint = (delegate* unmanaged<int, void>)NativeLibrary.GetExport(_library, "llamaserve_emulated_set_lint");
        var accesses = (delegate* unmanaged<byte*>)NativeLibrary.GetExport(_library, "llamaserve_emulated_accesses");
        setLint(1);
        try
        {
            Run(kernel, shape, arguments);
            return PlaceAccesses.Parse(Marshal.PtrToStringUTF8((nint)accesses())!);
        }
        finally
        {
            setLint(0);
        }
    }

    /// <summary>Runs a kernel that fails and forgets the failure.</summary>
    /// <returns>Its error and the explanation; <see cref="CUResult.Success"/> when it did not fail.</returns>
    public (CUResult Result, string Explanation) RunFaulty(string kernel, LaunchShape shape, params ReadOnlySpan<KernelArgument> arguments)
    {
        try
        {
            Run(kernel, shape, arguments);
            return (CUResult.Success, "");
        }
        catch (CudaException exception)
        {
            string explanation = Explanation;
            Reset();
            return (exception.Result, explanation);
        }
    }

    public void Dispose()
    {
        SetSeed(0);
        _module.Dispose();
        _stream.Dispose();
        _context.Dispose();
    }

    private static KernelSources Sources(string unit)
    {
        using Stream? resource = typeof(EmulatedUnit).Assembly.GetManifestResourceStream(unit);
        if (resource is null)
        {
            return KernelSources.Embedded;
        }
        using StreamReader reader = new(resource);
        return KernelSources.Embedded.With(unit, reader.ReadToEnd());
    }
}

internal static class CudaDeviceVariableExtensions
{
    public static T[] Download<T>(this CudaDeviceVariable<T> memory)
        where T : unmanaged
    {
        T[] values = new T[memory.Length];
        memory.CopyToHost(values);
        return values;
    }
}
