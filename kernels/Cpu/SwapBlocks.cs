namespace LlamaServe.Kernels.Cpu;

/// <summary>Copies whole blocks between the KV cache and its host part, layer by layer, in the order given.</summary>
internal static unsafe class SwapBlocks
{
    public static void Run(CpuKvCache cache, ReadOnlySpan<BlockSwap> swaps)
    {
        long bytes = cache.BlockBytes;
        for (int layer = 0; layer < cache.Shape.Layers; layer++)
        {
            byte* blocks = cache.Layer(layer), hostBlocks = cache.HostLayer(layer);
            foreach (BlockSwap swap in swaps)
            {
                byte* block = blocks + swap.Block * bytes, hostBlock = hostBlocks + swap.HostBlock * bytes;
                Buffer.MemoryCopy(swap.ToHost ? block : hostBlock, swap.ToHost ? hostBlock : block, bytes, bytes);
            }
        }
    }
}
