namespace LlamaServe.Kernels.Cuda.Compilation;

/// <summary>What an SM has for the CTAs on it (CUDA C++ Programming Guide, "Compute Capabilities": technical specifications).</summary>
/// <param name="SharedBytes">Shared memory of all CTAs.</param>
/// <param name="CtaSharedBytes">Most shared memory of one CTA.</param>
/// <param name="Threads">Of all CTAs.</param>
/// <param name="MostCtas">CTAs at a time.</param>
internal sealed record Multiprocessor(int SharedBytes, int CtaSharedBytes, int Threads, int MostCtas)
{
    private const int Registers = 64 * 1024, WarpThreads = 32;

    /// <summary>Registers are given to warps in such pieces, and warps lie on four parts of an SM.</summary>
    private const int RegisterPiece = 256, Parts = 4;

    /// <summary>Shared memory is given in such pieces, and the system takes some for each CTA.</summary>
    private const int SharedPiece = 128, SystemBytes = 1024;

    /// <summary>sm_80 is an A100, but for a CTA's shared memory: its machine code runs on compute capability 8.6 too, which has less.</summary>
    public static Multiprocessor Of(GpuArchitecture architecture) => architecture switch
    {
        GpuArchitecture.Sm80 => new Multiprocessor(164 * 1024, 99 * 1024, 2048, 32),
        GpuArchitecture.Sm89 => new Multiprocessor(100 * 1024, 99 * 1024, 1536, 24),
        GpuArchitecture.Sm90a => new Multiprocessor(228 * 1024, 227 * 1024, 2048, 32),
        _ => throw new ArgumentOutOfRangeException(nameof(architecture)),
    };

    /// <summary>CTAs that fit at a time; 0 where one does not.</summary>
    /// <param name="threads">Of a CTA.</param>
    /// <param name="registers">Of a thread.</param>
    /// <param name="sharedBytes">Of a CTA.</param>
    public int Ctas(int threads, int registers, int sharedBytes)
    {
        if (sharedBytes > CtaSharedBytes)
        {
            return 0;
        }
        int warps = (threads + WarpThreads - 1) / WarpThreads;
        int byRegisters = Registers / Padded(registers * WarpThreads, RegisterPiece) / Parts * Parts / warps;
        int byShared = SharedBytes / Padded(sharedBytes + SystemBytes, SharedPiece);
        return Math.Min(Math.Min(MostCtas, Threads / (warps * WarpThreads)), Math.Min(byRegisters, byShared));
    }

    private static int Padded(int size, int piece) => (size + piece - 1) / piece * piece;
}
