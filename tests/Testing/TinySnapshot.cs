namespace LlamaServe.Testing;

/// <summary>A tiny model written as a Hugging Face snapshot, with the weights at hand for a reference to compute with.</summary>
/// <param name="Folder">The snapshot folder.</param>
/// <param name="Tensors">Values as stored (after rounding to the stored type), row-major, by the snapshot's names.</param>
public sealed record TinySnapshot(TinyModel Model, string Folder, IReadOnlyDictionary<string, TinyTensor> Tensors);

/// <summary>A tensor's shape, outermost dimension first, and values.</summary>
public sealed record TinyTensor(int[] Shape, float[] Values);
