namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// The counter-based generator Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a bijection
/// of the counter under a key, so a draw needs no state but its seed and index.
/// </summary>
internal static class Philox
{
    private const uint Multiplier0 = 0xD2511F53;
    private const uint Multiplier1 = 0xCD9E8D57;
    private const uint Weyl0 = 0x9E3779B9;
    private const uint Weyl1 = 0xBB67AE85;

    /// <summary>A number in [0, 1) with 53 random bits.</summary>
    public static double Uniform(ulong seed, ulong counter)
    {
        Block block = new((uint)counter, (uint)(counter >> 32), 0, 0);
        block = Generate(block, (uint)seed, (uint)(seed >> 32));
        return (((ulong)block.X0 << 32 | block.X1) >> 11) * (1.0 / (1UL << 53));
    }

    public static Block Generate(Block counter, uint key0, uint key1)
    {
        for (int round = 0; round < 10; round++)
        {
            ulong product0 = (ulong)Multiplier0 * counter.X0;
            ulong product1 = (ulong)Multiplier1 * counter.X2;
            counter = new(
                (uint)(product1 >> 32) ^ counter.X1 ^ key0, (uint)product1,
                (uint)(product0 >> 32) ^ counter.X3 ^ key1, (uint)product0);
            key0 += Weyl0;
            key1 += Weyl1;
        }
        return counter;
    }

    public readonly record struct Block(uint X0, uint X1, uint X2, uint X3);
}
