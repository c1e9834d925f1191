namespace LlamaServe.Kernels.Cpu;

/// <summary>How the CPU backend runs.</summary>
public sealed class CpuBackendOptions
{
    /// <summary>Threads that work on one operation, the calling one included; 0 for one a logical processor.</summary>
    public int Threads { get; init; }

    /// <summary>
    /// Whether to do without the kernels that are assembled for this processor. The environment variable
    /// LLAMASERVE_CPU_FEATURES=portable does the same.
    /// </summary>
    public bool Portable { get; init; }
}
