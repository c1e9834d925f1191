namespace LlamaServe.Kernels;

/// <summary>Geometry of a paged KV cache.</summary>
/// <param name="Layers">Decoder layers.</param>
/// <param name="Blocks">Physical blocks, shared by all layers: block b of every layer belongs to the same sequence.</param>
/// <param name="BlockSize">Tokens of one block.</param>
/// <param name="KvHeads">Key/value heads.</param>
/// <param name="HeadDim">Elements of one head.</param>
/// <param name="Type">Element type of keys and values.</param>
/// <param name="HostBlocks">Blocks in the host's memory besides, for <see cref="IBackend.SwapBlocks"/>; 0 for no host part.</param>
public readonly record struct KvCacheShape(int Layers, int Blocks, int BlockSize, int KvHeads, int HeadDim, DType Type, int HostBlocks = 0)
{
    /// <summary>Bytes of one block: keys and values of <see cref="BlockSize"/> tokens in all layers, with their scales.</summary>
    public long BytesPerBlock => 2L * Layers * BlockSize * KvHeads * (HeadDim * Type.Size() + Type.ScaleSize());

    /// <summary>Bytes of all blocks but the <see cref="HostBlocks"/>.</summary>
    public long ByteLength => checked(BytesPerBlock * Blocks);

    /// <summary>Bytes of the host part.</summary>
    public long HostByteLength => checked(BytesPerBlock * HostBlocks);
}

/// <summary>The keys and values of every sequence, in fixed blocks; the layout inside a block is the backend's own.</summary>
public abstract class KvCache(KvCacheShape shape) : IDisposable
{
    public KvCacheShape Shape { get; } = shape;

    public abstract void Dispose();
}

/// <summary>Copy of one physical block to another, in all layers (copy-on-write).</summary>
public readonly record struct BlockCopy(int Source, int Destination);
