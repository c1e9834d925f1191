using static TorchSharp.torch;

namespace LlamaServe.Bench.Operations;

/// <summary>Random tensors of one shape, N(0, 1), that a peer's calls take in turn.</summary>
internal sealed class TorchTensors : IDisposable
{
    private readonly Tensor[] _tensors;

    public TorchTensors(int count, ScalarType type, params long[] shape)
    {
        using Tensor first = randn(shape, ScalarType.Float32);
        _tensors = [.. Enumerable.Range(0, count).Select(_ => first.to(type, copy: true))];
    }

    public int Count => _tensors.Length;

    public Tensor this[int index] => _tensors[index];

    public void Dispose() => Array.ForEach(_tensors, tensor => tensor.Dispose());
}
