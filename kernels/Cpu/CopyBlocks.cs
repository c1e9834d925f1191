namespace LlamaServe.Kernels.Cpu;

/// <summary>Copies whole blocks of the KV cache, layer by layer, the copies in the order given.</summary>
internal static unsafe class CopyBlocks
{
    public static void Run(CpuKvCache cache, ReadOnlySpan<BlockCopy> copies)
    {
        for (int layer = 0; layer < cache.Shape.Layers; layer++)
        {
            byte* blocks = cache.Layer(layer);
            foreach (BlockCopy copy in copies)
            {
                Buffer.MemoryCopy(blocks + copy.Source * cache.BlockBytes, blocks + copy.Destination * cache.BlockBytes, cache.BlockBytes, cache.BlockBytes);
            }
        }
    }
}
