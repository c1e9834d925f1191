using System.Globalization;
using LlamaServe.Kernels.Cpu;
using LlamaServe.Kernels.Cuda;

namespace LlamaServe.Kernels;

/// <summary>Which device to run on, as users write it: <c>auto</c>, <c>cpu</c>, <c>cuda</c>, <c>cuda:N</c> or <c>cuda-emulated</c>.</summary>
public sealed record BackendChoice
{
    private readonly DeviceKind _kind;
    private readonly int _ordinal;

    private BackendChoice(DeviceKind kind, int ordinal = 0) => (_kind, _ordinal) = (kind, ordinal);

    private enum DeviceKind
    {
        Cpu,
        Cuda,
        CudaEmulated,
    }

    /// <summary>The CPU, as long as the CUDA kernels have not been proven on hardware.</summary>
    public static BackendChoice Auto { get; } = new(DeviceKind.Cpu);

    /// <summary>Reads a choice; false when it is none.</summary>
    public static bool TryParse(string text, out BackendChoice choice)
    {
        choice = Auto;
        switch (text)
        {
            case "auto":
            case "cpu":
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
    /// <param name="warn">Told when the device works, but slower than it might.</param>
    /// <exception cref="DeviceUnavailableException">The chosen device cannot be used; the message says what would help.</exception>
    public IBackend Create(int threads = 0, Action<string>? warn = null) => _kind switch
    {
        DeviceKind.Cuda => new CudaBackend(new CudaBackendOptions { Ordinal = _ordinal, Warn = warn }),
        DeviceKind.CudaEmulated => new CudaBackend(new CudaBackendOptions { Emulated = true, Warn = warn }),
        _ => new CpuBackend(new CpuBackendOptions { Threads = threads }),
    };
}
