using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda.Compilation;

/// <summary>What kernels are compiled for.</summary>
internal enum GpuArchitecture
{
    /// <summary>Ampere: cp.async, BF16 and INT8 mma.sync.</summary>
    Sm80,

    /// <summary>Ada: also FP8 mma.sync.</summary>
    Sm89,

    /// <summary>Hopper with its own instructions: also wgmma, TMA, clusters.</summary>
    Sm90a,
}

internal static class GpuArchitectures
{
    public static IReadOnlyList<GpuArchitecture> All { get; } = [GpuArchitecture.Sm80, GpuArchitecture.Sm89, GpuArchitecture.Sm90a];

    /// <summary>The compilers' name: "sm_90a".</summary>
    public static string Name(this GpuArchitecture architecture) => architecture switch
    {
        GpuArchitecture.Sm80 => "sm_80",
        GpuArchitecture.Sm89 => "sm_89",
        GpuArchitecture.Sm90a => "sm_90a",
        _ => throw new ArgumentOutOfRangeException(nameof(architecture)),
    };

    /// <summary>The best one that runs on a device. Machine code runs on later minor versions too, sm_90a's on 9.0 only.</summary>
    /// <exception cref="CudaUnavailableException">There is none.</exception>
    public static GpuArchitecture Of(CudaDevice device) => (device.Major, device.Minor) switch
    {
        (8, >= 9) => GpuArchitecture.Sm89,
        (8, _) => GpuArchitecture.Sm80,
        (9, 0) => GpuArchitecture.Sm90a,
        _ => throw new CudaUnavailableException(
            $"{device.Name} has compute capability {device.Major}.{device.Minor}; there are kernels for 8.0 to 9.0."),
    };
}
