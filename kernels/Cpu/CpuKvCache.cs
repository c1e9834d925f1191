using System.Numerics;

namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// Paged keys and values. A layer's blocks lie one after the other, a block's heads too, and a head's panels are
/// <code>
/// keys    [HeadDim][TokenStride]     token-minor: one vector holds one element of several tokens
/// values  [BlockSize][HeadStride]    element-minor: one vector holds several elements of one token
/// </code>
/// so that q·k and p·v both run along vectors without a reduction across lanes. Strides are padded to two vectors.
/// </summary>
internal sealed unsafe class CpuKvCache : KvCache
{
    /// <summary>Elements that a kernel handles at a time.</summary>
    public static readonly int Granule = 2 * Vector<float>.Count;

    private readonly AlignedBuffer _memory, _host;

    public CpuKvCache(KvCacheShape shape)
        : base(shape)
    {
        TokenStride = RoundUp(shape.BlockSize);
        HeadStride = RoundUp(shape.HeadDim);
        ElementSize = shape.Type.Size();
        KeyPanelBytes = shape.HeadDim * TokenStride * ElementSize;
        HeadBytes = KeyPanelBytes + shape.BlockSize * HeadStride * ElementSize;
        BlockBytes = checked((long)HeadBytes * shape.KvHeads);
        _memory = new AlignedBuffer(checked(BlockBytes * shape.Blocks * shape.Layers));
        _host = new AlignedBuffer(checked(BlockBytes * shape.HostBlocks * shape.Layers));
    }

    /// <summary>Elements from one row of keys to the next.</summary>
    public int TokenStride { get; }

    /// <summary>Elements from one token's values to the next's.</summary>
    public int HeadStride { get; }

    public int ElementSize { get; }

    /// <summary>Bytes from a head's keys to its values.</summary>
    public int KeyPanelBytes { get; }

    /// <summary>Bytes of one head of one block: keys and values.</summary>
    public int HeadBytes { get; }

    /// <summary>Bytes of one block in one layer.</summary>
    public long BlockBytes { get; }

    /// <summary>Keys of a head; its values lie <see cref="KeyPanelBytes"/> further.</summary>
    public byte* Head(int layer, int block, int head) => Layer(layer) + block * BlockBytes + (long)head * HeadBytes;

    public byte* Layer(int layer) => _memory.Bytes + layer * BlockBytes * Shape.Blocks;

    /// <summary>A layer's blocks of the host part, which look like the others.</summary>
    public byte* HostLayer(int layer) => _host.Bytes + layer * BlockBytes * Shape.HostBlocks;

    public override void Dispose()
    {
        _memory.Dispose();
        _host.Dispose();
    }

    public static int RoundUp(int elements) => (elements + Granule - 1) / Granule * Granule;
}
