using LlamaServe.Bench.Models;
using LlamaServe.Kernels;

namespace LlamaServe.Bench.Gpu;

/// <summary>A model's name and sizes.</summary>
internal sealed record GpuModel(string Name, LlamaShape Shape)
{
    /// <summary>Llama 3 (arXiv:2407.21783), table 3.</summary>
    public static GpuModel Llama8B { get; } = new("8B", new LlamaShape
    {
        Hidden = 4096,
        Layers = 32,
        Heads = 32,
        KvHeads = 8,
        HeadSize = 128,
        FeedForward = 14336,
        Vocabulary = 128256,
        Context = 8192,
        Tied = false,
    });

    public static GpuModel Llama70B { get; } = new("70B", Llama8B.Shape with { Hidden = 8192, Layers = 80, Heads = 64, FeedForward = 28672 });

    /// <summary>Stand-ins for both where there is no GPU.</summary>
    public static GpuModel Tiny8B { get; } = new("tiny 8B", new LlamaShape
    {
        Hidden = 256,
        Layers = 1,
        Heads = 4,
        KvHeads = 2,
        HeadSize = 64,
        FeedForward = 512,
        Vocabulary = 384,
        Context = 512,
        Tied = false,
    });

    public static GpuModel Tiny70B { get; } = new("tiny 70B", Tiny8B.Shape with { Heads = 8, KvHeads = 1 });

    /// <summary>A layer's matrices.</summary>
    public IReadOnlyList<GpuMatrix> Matrices =>
    [
        new("q, k, v", (Shape.Heads + 2 * Shape.KvHeads) * Shape.HeadSize, Shape.Hidden),
        new("attention output", Shape.Hidden, Shape.Heads * Shape.HeadSize),
        new("gate, up, SwiGLU", 2 * Shape.FeedForward, Shape.Hidden, IsGated: true),
        new("down", Shape.Hidden, Shape.FeedForward),
    ];

    /// <summary>Elements of all matrices that every token goes through.</summary>
    public long MatrixElements => Shape.LayerMultiplyAdds + Shape.OutputMultiplyAdds;

    /// <summary>Bytes of a token's keys and values in all layers.</summary>
    public long KvTokenBytes(DType type) => new KvCacheShape(Shape.Layers, Blocks: 1, BlockSize: 1, Shape.KvHeads, Shape.HeadSize, type).BytesPerBlock;
}

/// <summary>A matrix of a layer, [<paramref name="Rows"/>, <paramref name="Columns"/>].</summary>
/// <param name="IsGated">Gate and up, stacked; the product ends with silu(gate) · up, so that it has half as many columns.</param>
internal sealed record GpuMatrix(string Name, int Rows, int Columns, bool IsGated = false)
{
    /// <summary>Columns of the product.</summary>
    public int Outputs => IsGated ? Rows / 2 : Rows;
}
