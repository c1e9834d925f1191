using LlamaServe.Kernels.Cuda;

namespace LlamaServe.Bench.Gpu;

/// <summary>What rows of kernels are measured with.</summary>
/// <param name="Journal">Receives rows and the peers' cases.</param>
internal sealed record KernelBench(CudaBackend Backend, GpuClock Clock, GpuLimits Limits, GpuJournal Journal);
