using System.Runtime.InteropServices;
using LlamaServe.Kernels;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Quantization;

/// <summary>A matrix or vector as the backend takes it, with the tensors that it was read from and memory of its own where it is none of them.</summary>
internal sealed unsafe class StoredMatrix(WeightData data, IReadOnlyList<TensorSource> sources) : IDisposable
{
    private readonly List<nint> _memory = [];

    public WeightData Data { get; set; } = data;

    public IReadOnlyList<TensorSource> Sources { get; } = sources;

    /// <summary>Memory until <see cref="Dispose"/>.</summary>
    public nint Allocate(long bytes)
    {
        nint memory = (nint)NativeMemory.Alloc((nuint)bytes);
        _memory.Add(memory);
        return memory;
    }

    public void Dispose()
    {
        _memory.ForEach(memory => NativeMemory.Free((void*)memory));
        _memory.Clear();
    }
}
