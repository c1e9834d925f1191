namespace LlamaServe.Models;

/// <summary>How far loading is.</summary>
/// <param name="BytesDone">Bytes of weights that the backend has taken in.</param>
/// <param name="BytesTotal">Bytes of weights of the checkpoint.</param>
/// <param name="Tensor">The checkpoint's name of the tensor that was just loaded.</param>
public readonly record struct LoadProgress(long BytesDone, long BytesTotal, string Tensor);
