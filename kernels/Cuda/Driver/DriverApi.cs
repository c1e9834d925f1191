using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>
/// The entry points of one driver library, as cuda.h of CUDA 12.0 declares them, under their names without "cu" and version
/// suffix. A table rather than static imports: a process can hold NVIDIA's driver and the emulated one side by side, and a
/// function that an old driver lacks is noticed when the table is filled. A library stays loaded as long as the process.
/// </summary>
/// <param name="library">Handle of the loaded library.</param>
internal sealed unsafe class DriverApi(nint library)
{
    public readonly delegate* unmanaged<uint, CUResult> Init = (delegate* unmanaged<uint, CUResult>)Export(library, "cuInit");
    public readonly delegate* unmanaged<int*, CUResult> DeviceGetCount =
        (delegate* unmanaged<int*, CUResult>)Export(library, "cuDeviceGetCount");
    public readonly delegate* unmanaged<int*, int, CUResult> DeviceGet =
        (delegate* unmanaged<int*, int, CUResult>)Export(library, "cuDeviceGet");
    public readonly delegate* unmanaged<byte*, int, int, CUResult> DeviceGetName =
        (delegate* unmanaged<byte*, int, int, CUResult>)Export(library, "cuDeviceGetName");
    public readonly delegate* unmanaged<int*, DeviceAttribute, int, CUResult> DeviceGetAttribute =
        (delegate* unmanaged<int*, DeviceAttribute, int, CUResult>)Export(library, "cuDeviceGetAttribute");
    public readonly delegate* unmanaged<nuint*, int, CUResult> DeviceTotalMem =
        (delegate* unmanaged<nuint*, int, CUResult>)Export(library, "cuDeviceTotalMem_v2");
    public readonly delegate* unmanaged<nint*, int, CUResult> DevicePrimaryCtxRetain =
        (delegate* unmanaged<nint*, int, CUResult>)Export(library, "cuDevicePrimaryCtxRetain");
    public readonly delegate* unmanaged<int, CUResult> DevicePrimaryCtxRelease =
        (delegate* unmanaged<int, CUResult>)Export(library, "cuDevicePrimaryCtxRelease_v2");
    public readonly delegate* unmanaged<nint, CUResult> CtxSetCurrent =
        (delegate* unmanaged<nint, CUResult>)Export(library, "cuCtxSetCurrent");
    public readonly delegate* unmanaged<CUResult> CtxSynchronize =
        (delegate* unmanaged<CUResult>)Export(library, "cuCtxSynchronize");
    public readonly delegate* unmanaged<nuint*, nuint*, CUResult> MemGetInfo =
        (delegate* unmanaged<nuint*, nuint*, CUResult>)Export(library, "cuMemGetInfo_v2");
    public readonly delegate* unmanaged<DevicePtr*, nuint, CUResult> MemAlloc =
        (delegate* unmanaged<DevicePtr*, nuint, CUResult>)Export(library, "cuMemAlloc_v2");
    public readonly delegate* unmanaged<DevicePtr, CUResult> MemFree =
        (delegate* unmanaged<DevicePtr, CUResult>)Export(library, "cuMemFree_v2");
    public readonly delegate* unmanaged<void**, nuint, uint, CUResult> MemHostAlloc =
        (delegate* unmanaged<void**, nuint, uint, CUResult>)Export(library, "cuMemHostAlloc");
    public readonly delegate* unmanaged<void*, CUResult> MemFreeHost =
        (delegate* unmanaged<void*, CUResult>)Export(library, "cuMemFreeHost");
    public readonly delegate* unmanaged<DevicePtr, void*, nuint, CUResult> MemcpyHtoD =
        (delegate* unmanaged<DevicePtr, void*, nuint, CUResult>)Export(library, "cuMemcpyHtoD_v2");
    public readonly delegate* unmanaged<void*, DevicePtr, nuint, CUResult> MemcpyDtoH =
        (delegate* unmanaged<void*, DevicePtr, nuint, CUResult>)Export(library, "cuMemcpyDtoH_v2");
    public readonly delegate* unmanaged<DevicePtr, void*, nuint, nint, CUResult> MemcpyHtoDAsync =
        (delegate* unmanaged<DevicePtr, void*, nuint, nint, CUResult>)Export(library, "cuMemcpyHtoDAsync_v2");
    public readonly delegate* unmanaged<void*, DevicePtr, nuint, nint, CUResult> MemcpyDtoHAsync =
        (delegate* unmanaged<void*, DevicePtr, nuint, nint, CUResult>)Export(library, "cuMemcpyDtoHAsync_v2");
    public readonly delegate* unmanaged<DevicePtr, DevicePtr, nuint, nint, CUResult> MemcpyDtoDAsync =
        (delegate* unmanaged<DevicePtr, DevicePtr, nuint, nint, CUResult>)Export(library, "cuMemcpyDtoDAsync_v2");
    public readonly delegate* unmanaged<DevicePtr, byte, nuint, nint, CUResult> MemsetD8Async =
        (delegate* unmanaged<DevicePtr, byte, nuint, nint, CUResult>)Export(library, "cuMemsetD8Async");
    public readonly delegate* unmanaged<DevicePtr, uint, nuint, nint, CUResult> MemsetD32Async =
        (delegate* unmanaged<DevicePtr, uint, nuint, nint, CUResult>)Export(library, "cuMemsetD32Async");
    public readonly delegate* unmanaged<nint*, uint, CUResult> StreamCreate =
        (delegate* unmanaged<nint*, uint, CUResult>)Export(library, "cuStreamCreate");
    public readonly delegate* unmanaged<nint, CUResult> StreamDestroy =
        (delegate* unmanaged<nint, CUResult>)Export(library, "cuStreamDestroy_v2");
    public readonly delegate* unmanaged<nint, CUResult> StreamSynchronize =
        (delegate* unmanaged<nint, CUResult>)Export(library, "cuStreamSynchronize");
    public readonly delegate* unmanaged<nint, CUResult> StreamQuery =
        (delegate* unmanaged<nint, CUResult>)Export(library, "cuStreamQuery");
    public readonly delegate* unmanaged<nint, nint, uint, CUResult> StreamWaitEvent =
        (delegate* unmanaged<nint, nint, uint, CUResult>)Export(library, "cuStreamWaitEvent");
    public readonly delegate* unmanaged<nint, uint, CUResult> StreamBeginCapture =
        (delegate* unmanaged<nint, uint, CUResult>)Export(library, "cuStreamBeginCapture_v2");
    public readonly delegate* unmanaged<nint, nint*, CUResult> StreamEndCapture =
        (delegate* unmanaged<nint, nint*, CUResult>)Export(library, "cuStreamEndCapture");
    public readonly delegate* unmanaged<nint*, uint, CUResult> EventCreate =
        (delegate* unmanaged<nint*, uint, CUResult>)Export(library, "cuEventCreate");
    public readonly delegate* unmanaged<nint, nint, CUResult> EventRecord =
        (delegate* unmanaged<nint, nint, CUResult>)Export(library, "cuEventRecord");
    public readonly delegate* unmanaged<nint, CUResult> EventSynchronize =
        (delegate* unmanaged<nint, CUResult>)Export(library, "cuEventSynchronize");
    public readonly delegate* unmanaged<nint, CUResult> EventQuery =
        (delegate* unmanaged<nint, CUResult>)Export(library, "cuEventQuery");
    public readonly delegate* unmanaged<float*, nint, nint, CUResult> EventElapsedTime =
        (delegate* unmanaged<float*, nint, nint, CUResult>)Export(library, "cuEventElapsedTime");
    public readonly delegate* unmanaged<nint, CUResult> EventDestroy =
        (delegate* unmanaged<nint, CUResult>)Export(library, "cuEventDestroy_v2");
    public readonly delegate* unmanaged<nint*, void*, CUResult> ModuleLoadData =
        (delegate* unmanaged<nint*, void*, CUResult>)Export(library, "cuModuleLoadData");
    public readonly delegate* unmanaged<nint, CUResult> ModuleUnload =
        (delegate* unmanaged<nint, CUResult>)Export(library, "cuModuleUnload");
    public readonly delegate* unmanaged<nint*, nint, byte*, CUResult> ModuleGetFunction =
        (delegate* unmanaged<nint*, nint, byte*, CUResult>)Export(library, "cuModuleGetFunction");
    public readonly delegate* unmanaged<nint, FunctionAttribute, int, CUResult> FuncSetAttribute =
        (delegate* unmanaged<nint, FunctionAttribute, int, CUResult>)Export(library, "cuFuncSetAttribute");
    public readonly delegate* unmanaged<int*, FunctionAttribute, nint, CUResult> FuncGetAttribute =
        (delegate* unmanaged<int*, FunctionAttribute, nint, CUResult>)Export(library, "cuFuncGetAttribute");
    public readonly delegate* unmanaged<int*, nint, int, nuint, CUResult> OccupancyMaxActiveBlocksPerMultiprocessor =
        (delegate* unmanaged<int*, nint, int, nuint, CUResult>)Export(library, "cuOccupancyMaxActiveBlocksPerMultiprocessor");
    public readonly delegate* unmanaged<LaunchConfig*, nint, void**, void**, CUResult> LaunchKernelEx =
        (delegate* unmanaged<LaunchConfig*, nint, void**, void**, CUResult>)Export(library, "cuLaunchKernelEx");
    public readonly delegate* unmanaged<nint*, nint, ulong, CUResult> GraphInstantiateWithFlags =
        (delegate* unmanaged<nint*, nint, ulong, CUResult>)Export(library, "cuGraphInstantiateWithFlags");
    public readonly delegate* unmanaged<nint, nint, CUResult> GraphLaunch =
        (delegate* unmanaged<nint, nint, CUResult>)Export(library, "cuGraphLaunch");
    public readonly delegate* unmanaged<nint, CUResult> GraphDestroy =
        (delegate* unmanaged<nint, CUResult>)Export(library, "cuGraphDestroy");
    public readonly delegate* unmanaged<nint, CUResult> GraphExecDestroy =
        (delegate* unmanaged<nint, CUResult>)Export(library, "cuGraphExecDestroy");
    public readonly delegate* unmanaged<CUResult, byte**, CUResult> GetErrorName =
        (delegate* unmanaged<CUResult, byte**, CUResult>)Export(library, "cuGetErrorName");
    public readonly delegate* unmanaged<CUResult, byte**, CUResult> GetErrorString =
        (delegate* unmanaged<CUResult, byte**, CUResult>)Export(library, "cuGetErrorString");

    /// <summary>The emulated driver's: what was wrong with the call that failed last. Null in NVIDIA's.</summary>
    public readonly delegate* unmanaged<byte*> EmulatedLastError = NativeLibrary.TryGetExport(library, "llamaserve_emulated_last_error", out nint lastError)
        ? (delegate* unmanaged<byte*>)lastError
        : null;

    /// <summary>CUDA 12.0 in the driver's counting: the first with every entry point and launch attribute in use here.</summary>
    private const int OldestVersion = 12000;

    /// <summary>CUDA 12.3: the first that captures programmatic dependent launches.</summary>
    private const int CapturesProgrammaticLaunches = 12030;

    /// <summary>NVIDIA's driver, by the name under which the system's loader finds it.</summary>
    public static string SystemLibrary => OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1";

    /// <summary>Loads and starts a driver.</summary>
    /// <param name="path"><see cref="SystemLibrary"/> or the emulated driver's file.</param>
    /// <exception cref="CudaUnavailableException">There is none, it is too old, or it finds no GPU.</exception>
    public static DriverApi Load(string path)
    {
        nint library = Open(path);
        int version = 0;
        // Answers before cuInit, and on every driver.
        CUResult result = ((delegate* unmanaged<int*, CUResult>)Export(library, "cuDriverGetVersion"))(&version);
        if (result != CUResult.Success || version < OldestVersion)
        {
            throw new CudaUnavailableException(
                $"The NVIDIA driver supports CUDA {version / 1000}.{version % 1000 / 10}; {Needed}. Install a newer driver.");
        }
        DriverApi api = new(library) { Version = version };
        result = api.Init(0);
        return result switch
        {
            CUResult.Success => api,
            CUResult.NoDevice => throw new CudaUnavailableException("The NVIDIA driver finds no GPU on this machine."),
            _ => throw new CudaUnavailableException("The NVIDIA driver does not start.", CudaException.Create(api, result, "api.Init(0)")),
        };
    }

    /// <summary>The CUDA version that the driver supports, 12040 for 12.4.</summary>
    public int Version { get; private init; }

    /// <summary>Whether launches on the device may overlap, in graphs too.</summary>
    public bool SupportsProgrammaticLaunches(CudaDevice device) => device.Major >= 9 && Version >= CapturesProgrammaticLaunches;

    /// <summary>Throws where a call failed; all calls but those of finalizers and queries pass through here.</summary>
    /// <param name="call">Filled in by the compiler; names the entry point.</param>
    /// <exception cref="CudaException"><paramref name="result"/> is no success.</exception>
    public void Check(CUResult result, [CallerArgumentExpression(nameof(result))] string call = "")
    {
        if (result != CUResult.Success)
        {
            throw CudaException.Create(this, result, call);
        }
    }

    /// <summary>Whether queried work is done.</summary>
    /// <exception cref="CudaException">It failed.</exception>
    public bool IsDone(CUResult result, [CallerArgumentExpression(nameof(result))] string call = "")
    {
        if (result == CUResult.NotReady)
        {
            return false;
        }
        Check(result, call);
        return true;
    }

    private static string Needed => $"CUDA {OldestVersion / 1000}.{OldestVersion % 1000 / 10} or later is needed";

    private static nint Open(string path)
    {
        try
        {
            return NativeLibrary.Load(path);
        }
        catch (Exception exception) when (exception is DllNotFoundException or BadImageFormatException)
        {
            throw new CudaUnavailableException(
                $"There is no NVIDIA driver on this machine: {Path.GetFileName(path)} cannot be loaded.", exception);
        }
    }

    private static void* Export(nint library, string name) => NativeLibrary.TryGetExport(library, name, out nint address)
        ? (void*)address
        : throw new CudaUnavailableException($"The NVIDIA driver is too old: it has no {name}; {Needed}. Install a newer driver.");
}
