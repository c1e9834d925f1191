namespace LlamaServe.Kernels.Cuda;

/// <summary>Which device a CUDA backend runs on, and how much of it it takes.</summary>
public sealed class CudaBackendOptions
{
    /// <summary>The driver's number of the GPU, from 0.</summary>
    public int Ordinal { get; init; }

    /// <summary>Whether to run on the emulated device: the same kernels and launches on the host, for tests. Needs g++.</summary>
    public bool Emulated { get; init; }

    /// <summary>Device memory that stays free for the driver (code, and some 25 MiB for each captured graph) and other processes.</summary>
    public long ReservedBytes { get; init; } = 2L << 30;

    /// <summary>Device memory for weights, KV cache and workspaces; null for all that is free but <see cref="ReservedBytes"/>.</summary>
    public long? PoolBytes { get; init; }

    /// <summary>
    /// Whether kernels may start before the one ahead of them ends (programmatic dependent launch). Without effect before sm_90 and
    /// before CUDA 12.3, whose drivers do not capture such launches.
    /// </summary>
    public bool ProgrammaticLaunches { get; init; } = true;

    /// <summary>Told once, in a sentence, when decode steps cannot run from captured graphs.</summary>
    public Action<string>? Warn { get; init; }
}
