using LlamaServe.Kernels;

namespace LlamaServe.Bench.Models;

/// <summary>One tensor of a GGUF file to be written.</summary>
/// <param name="Name">The tensor's name, for example <c>blk.0.attn_q.weight</c>.</param>
/// <param name="Format">Its storage format.</param>
/// <param name="Shape">Rows, then columns (or columns alone); the file lists them the other way round.</param>
/// <param name="WriteData">Writes exactly the tensor's bytes to the stream.</param>
internal sealed record GgufTensor(string Name, WeightFormat Format, int[] Shape, Action<Stream> WriteData)
{
    /// <summary>Bytes of the tensor's data.</summary>
    public long ByteCount => Shape[..^1].Aggregate(1L, (product, size) => product * size) * RowEncoder.RowBytes(Format, Shape[^1]);

    /// <summary>Number of elements.</summary>
    public long ElementCount => Shape.Aggregate(1L, (product, size) => product * size);
}
