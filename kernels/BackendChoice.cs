using System.Globalization;
using LlamaServe.Kernels.Cpu;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels;

/// <summary>Which device to run on, as users write it: <c>auto</c>, <c>cpu</c>, <c>cuda</c>, <c>cuda:N</c> or <c>cuda-emulated</c>.</summary>
public sealed record BackendChoice
{
    private readonly DeviceKind _kind;
    private readonly int _ordinal;

    private BackendChoice(DeviceKind kind, int ordinal = 0) => (_kind, _ordinal) = (kind, ordinal);

    private enum DeviceKind
    {
        Auto,
        Cpu,
        Cuda,
        CudaEmulated,
    }

    /// <summary>The first GPU where there is one that can be used, else the CPU.</summary>
    public static BackendChoice Auto { get; } = new(DeviceKind.Auto);

    /// <summary>Reads a choice; false when it is none.</summary>
    public static bool TryParse(string text, out BackendChoice choice)
    {
        choice = Auto;
        switch (text)
        {
            case "auto":
                return true;
            case "cpu":
                choice = new BackendChoice(DeviceKind.Cpu);
                return true;
            case "cuda":
                choice = new BackendChoice(DeviceKind.Cuda);
                return true;
            case "cuda-emulated":
                choice = new BackendChoice(DeviceKind.CudaEmulated);
                return true;
        }
        if (text.StartsWith("cuda:", StringComparison.Ordinal) &&
            int.TryParse(text.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out int ordinal))
        {
            choice = new BackendChoice(DeviceKind.Cuda, ordinal);
            return true;
        }
        return false;
    }

    /// <summary>Starts the device.</summary>
    /// <param name="threads">Of the CPU backend; 0 for one a logical processor.</param>
    /// <param name="gpuUnusable">Told why "auto" does not take a GPU; not called where there is no NVIDIA driver at all.</param>
    /// <exception cref="CudaUnavailableException">The chosen device cannot be used; the message says what would help.</exception>
    public IBackend Create(int threads = 0, Action<string>? gpuUnusable = null)
    {
        CpuBackendOptions cpu = new() { Threads = threads };
        switch (_kind)
        {
            case DeviceKind.Cpu:
                return new CpuBackend(cpu);
            case DeviceKind.Cuda:
                return new CudaBackend(new CudaBackendOptions { Ordinal = _ordinal });
            case DeviceKind.CudaEmulated:
                return new CudaBackend(new CudaBackendOptions { Emulated = true });
            default:
                return TryCreateGpu(gpuUnusable) ?? (IBackend)new CpuBackend(cpu);
        }
    }

    private static CudaBackend? TryCreateGpu(Action<string>? gpuUnusable)
    {
        if (!DriverApi.IsInstalled)
        {
            return null;
        }
        try
        {
            return new CudaBackend();
        }
        catch (CudaUnavailableException exception)
        {
            gpuUnusable?.Invoke(exception.Message);
            return null;
        }
    }
}
