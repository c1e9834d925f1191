using System.Diagnostics;
using Iced.Intel;
using LlamaServe.Kernels.Cpu;
using static Iced.Intel.AssemblerRegisters;

namespace LlamaServe.Bench.Machine;

/// <summary>
/// How many int8 multiply-adds a second all threads together do from registers alone (VPDPBUSD, 64 an instruction): the
/// floor of prefill, whose weights are read once for many tokens.
/// </summary>
internal static unsafe class Int8Peak
{
    private const int Accumulators = 12;
    private const int MultiplyAddsPerInstruction = 64;
    private const long RoundsPerChunk = 100_000;
    private const int Chunks = 64;
    private const int Passes = 7;

    /// <summary>Multiply-adds a second, the best of several passes; null where the processor has no AVX512-VNNI.</summary>
    public static double? Measure(int threads)
    {
        if (!CpuFeatures.Detect().Vnni)
        {
            return null;
        }

        using ExecutableMemory code = ExecutableMemory.Load(Assemble());
        using WorkerPool pool = new(threads);
        double best = 0;
        for (int pass = 0; pass < Passes; pass++)
        {
            long start = Stopwatch.GetTimestamp();
            pool.Run(new MultiplyJob((delegate* unmanaged<long, void>)code.Address), Chunks);
            double count = (double)Chunks * RoundsPerChunk * Accumulators * MultiplyAddsPerInstruction;
            best = Math.Max(best, count / Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return best;
    }

    // Enough independent sums to hide the instruction's latency; zmm16 and up belong to the callee on every system.
    private static byte[] Assemble()
    {
        AssemblerRegisterZMM[] sums = [zmm16, zmm17, zmm18, zmm19, zmm20, zmm21, zmm22, zmm23, zmm24, zmm25, zmm26, zmm27];
        Assembler assembler = new(64);
        AssemblerRegister64 rounds = OperatingSystem.IsWindows() ? rcx : rdi;
        foreach (AssemblerRegisterZMM register in (AssemblerRegisterZMM[])[.. sums, zmm30, zmm31])
        {
            assembler.vpxord(register, register, register);
        }

        Label loop = assembler.CreateLabel();
        assembler.Label(ref loop);
        foreach (AssemblerRegisterZMM sum in sums)
        {
            assembler.vpdpbusd(sum, zmm30, zmm31);
        }

        assembler.dec(rounds);
        assembler.jne(loop);
        assembler.vzeroupper();
        assembler.ret();
        using MemoryStream stream = new();
        assembler.Assemble(new StreamCodeWriter(stream), 0);
        return stream.ToArray();
    }

    private readonly struct MultiplyJob(delegate* unmanaged<long, void> multiply) : IChunkedJob
    {
        public void Execute(int chunk) => multiply(RoundsPerChunk);
    }
}
