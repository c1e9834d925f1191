namespace LlamaServe.Kernels.Cpu;

/// <summary>Moves accepted drafts' keys and values to consecutive slots, layer by layer. A slot is never read after it was written.</summary>
internal static unsafe class CompactDrafts
{
    public static void Run(CpuKvCache cache, ForwardBatch batch, DraftBatch drafts)
    {
        for (int i = 0; i < drafts.SequenceCount; i++)
        {
            ReadOnlySpan<int> slots = batch.SlotMapping[(batch.LogitsRows[drafts.Sequences[i].FirstRow] + 1)..], accepted = drafts.Accepted(i);
            for (int place = 0; place < accepted.Length; place++)
            {
                if (accepted[place] != place)
                {
                    Move(cache, slots[accepted[place]], slots[place]);
                }
            }
        }
    }

    private static void Move(CpuKvCache cache, int source, int destination)
    {
        (int sourceBlock, int sourceToken) = Math.DivRem(source, cache.Shape.BlockSize);
        (int block, int token) = Math.DivRem(destination, cache.Shape.BlockSize);
        int size = cache.ElementSize;
        for (int layer = 0; layer < cache.Shape.Layers; layer++)
        {
            for (int head = 0; head < cache.Shape.KvHeads; head++)
            {
                byte* from = cache.Head(layer, sourceBlock, head), to = cache.Head(layer, block, head);
                for (int d = 0; d < cache.Shape.HeadDim; d++)
                {
                    long row = (long)d * cache.TokenStride;
                    Buffer.MemoryCopy(from + (row + sourceToken) * size, to + (row + token) * size, size, size);
                }
                long bytes = (long)cache.HeadStride * size;
                Buffer.MemoryCopy(from + cache.KeyPanelBytes + sourceToken * bytes, to + cache.KeyPanelBytes + token * bytes, bytes, bytes);
            }
        }
    }
}
