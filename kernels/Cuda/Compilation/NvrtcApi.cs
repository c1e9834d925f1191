using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda.Compilation;

/// <summary>The entry points of NVIDIA's run-time compiler, as nvrtc.h declares them. Needs neither a GPU nor a driver.</summary>
/// <param name="library">Handle of the loaded library.</param>
internal sealed unsafe class NvrtcApi(nint library)
{
    /// <summary>Names the library or its folder; nothing else is tried then.</summary>
    public const string EnvironmentVariable = "LLAMASERVE_NVRTC";

    /// <summary>Where .ci/get-nvrtc unpacks it, in the cache.</summary>
    public const string UnpackedFolder = "nvrtc/usr/lib/x86_64-linux-gnu";

    public const int Success = 0;

    public readonly delegate* unmanaged<int*, int*, int> Version = (delegate* unmanaged<int*, int*, int>)Export(library, "nvrtcVersion");
    public readonly delegate* unmanaged<nint*, byte*, byte*, int, byte**, byte**, int> CreateProgram =
        (delegate* unmanaged<nint*, byte*, byte*, int, byte**, byte**, int>)Export(library, "nvrtcCreateProgram");
    public readonly delegate* unmanaged<nint*, int> DestroyProgram = (delegate* unmanaged<nint*, int>)Export(library, "nvrtcDestroyProgram");
    public readonly delegate* unmanaged<nint, int, byte**, int> CompileProgram =
        (delegate* unmanaged<nint, int, byte**, int>)Export(library, "nvrtcCompileProgram");
    public readonly delegate* unmanaged<nint, nuint*, int> GetProgramLogSize = (delegate* unmanaged<nint, nuint*, int>)Export(library, "nvrtcGetProgramLogSize");
    public readonly delegate* unmanaged<nint, byte*, int> GetProgramLog = (delegate* unmanaged<nint, byte*, int>)Export(library, "nvrtcGetProgramLog");
    public readonly delegate* unmanaged<nint, nuint*, int> GetCubinSize = (delegate* unmanaged<nint, nuint*, int>)Export(library, "nvrtcGetCUBINSize");
    public readonly delegate* unmanaged<nint, byte*, int> GetCubin = (delegate* unmanaged<nint, byte*, int>)Export(library, "nvrtcGetCUBIN");
    public readonly delegate* unmanaged<int, byte*> GetErrorString = (delegate* unmanaged<int, byte*>)Export(library, "nvrtcGetErrorString");

    // 12 before 13: a driver loads what older compilers made, and not always what newer ones made.
    private static readonly string[] Names = OperatingSystem.IsWindows()
        ? ["nvrtc64_120_0.dll", "nvrtc64_130_0.dll"]
        : ["libnvrtc.so.12", "libnvrtc.so.13", "libnvrtc.so"];

    private static readonly string[] RootVariables = ["CUDA_PATH", "CUDA_HOME"];

    /// <summary>Loads NVRTC from where the environment says, the system's loader finds it, or CUDA is usually installed.</summary>
    /// <exception cref="CudaUnavailableException">It is nowhere.</exception>
    public static NvrtcApi Load()
    {
        string? wanted = Environment.GetEnvironmentVariable(EnvironmentVariable);
        return wanted is { Length: > 0 } ? Load([.. In(wanted), wanted]) : Load([.. Names, .. UsualFolders().SelectMany(In)]);
    }

    /// <summary>Loads the first library that is there.</summary>
    /// <param name="candidates">Paths, or names for the system's loader.</param>
    /// <exception cref="CudaUnavailableException">None is.</exception>
    public static NvrtcApi Load(IReadOnlyList<string> candidates)
    {
        foreach (string candidate in candidates)
        {
            if (NativeLibrary.TryLoad(candidate, out nint library) && NativeLibrary.TryGetExport(library, "nvrtcGetCUBIN", out _))
            {
                NvrtcApi api = new(library);
                api.LoadBuiltins(Path.GetDirectoryName(candidate));
                return api;
            }
        }
        throw new CudaUnavailableException(
            $"There is no NVRTC 12 or later to compile the CUDA kernels: {string.Join(", ", candidates.Select(Path.GetFileName).Distinct())} cannot be "
            + $"loaded. Install CUDA's run-time compiler, name its folder in {EnvironmentVariable}, or compile the kernels elsewhere with 'build.ps1 cubins'.");
    }

    private static IEnumerable<string> In(string folder) => Names.Select(name => Path.Combine(folder, name));

    private static IEnumerable<string> UsualFolders()
    {
        string subfolder = OperatingSystem.IsWindows() ? "bin" : "lib64";
        IEnumerable<string> roots = RootVariables
            .Select(Environment.GetEnvironmentVariable)
            .OfType<string>()
            .Where(root => root.Length > 0);
        return roots.Concat(OperatingSystem.IsWindows() ? [] : ["/usr/local/cuda", "/opt/cuda"])
            .Select(root => Path.Combine(root, subfolder))
            .Append(CacheFolder.Of(UnpackedFolder));
    }

    private static void* Export(nint library, string name) => (void*)NativeLibrary.GetExport(library, name);

    /// <summary>
    /// NVRTC opens its second library by bare name, which a loader that has it already resolves, wherever it came from.
    /// </summary>
    private void LoadBuiltins(string? folder)
    {
        int major, minor;
        if (!string.IsNullOrEmpty(folder) && Version(&major, &minor) == Success)
        {
            string name = OperatingSystem.IsWindows() ? $"nvrtc-builtins64_{major}{minor}.dll" : $"libnvrtc-builtins.so.{major}.{minor}";
            NativeLibrary.TryLoad(Path.Combine(folder, name), out _);
        }
    }
}
