using System.Diagnostics;
using Iced.Intel;
using LlamaServe.Kernels.Cpu;
using static Iced.Intel.AssemblerRegisters;

namespace LlamaServe.Bench.Machine;

/// <summary>What a processor's vector units multiply.</summary>
internal enum Arithmetic
{
    /// <summary>VPDPBUSD: 64 multiply-adds an instruction, into 32-bit integers.</summary>
    Int8,

    /// <summary>VDPBF16PS: 32 multiply-adds an instruction, into F32.</summary>
    BFloat16,

    /// <summary>VFMADD231PS: 16 multiply-adds an instruction.</summary>
    Float32,
}

/// <summary>
/// How many multiply-adds a second all threads together do from registers alone: the floor of prefill, whose weights are read
/// once for many tokens.
/// </summary>
internal static unsafe class ProcessorPeak
{
    private const long RoundsPerChunk = 100_000;
    private const int Chunks = 64;
    private const int Passes = 7;

    // Enough independent sums to hide the instruction's latency; zmm16 and up belong to the callee on every system.
    private static readonly AssemblerRegisterZMM[] Sums =
        [zmm16, zmm17, zmm18, zmm19, zmm20, zmm21, zmm22, zmm23, zmm24, zmm25, zmm26, zmm27];

    /// <summary>Multiply-adds a second, the best of several passes; null where the processor lacks the instruction.</summary>
    public static double? Measure(Arithmetic arithmetic, int threads)
    {
        if (!IsAvailable(arithmetic, CpuFeatures.Detect()))
        {
            return null;
        }

        using ExecutableMemory code = ExecutableMemory.Load(Assemble(arithmetic));
        using WorkerPool pool = new(threads);
        double best = 0;
        for (int pass = 0; pass < Passes; pass++)
        {
            long start = Stopwatch.GetTimestamp();
            pool.Run(new MultiplyJob((delegate* unmanaged<long, void>)code.Address), Chunks);
            double count = (double)Chunks * RoundsPerChunk * Sums.Length * MultiplyAddsPerInstruction(arithmetic);
            best = Math.Max(best, count / Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return best;
    }

    private static bool IsAvailable(Arithmetic arithmetic, CpuFeatures features) => arithmetic switch
    {
        Arithmetic.Int8 => features.Vnni,
        Arithmetic.BFloat16 => features.Bf16,
        _ => features.Avx512,
    };

    private static int MultiplyAddsPerInstruction(Arithmetic arithmetic) => arithmetic switch
    {
        Arithmetic.Int8 => 64,
        Arithmetic.BFloat16 => 32,
        _ => 16,
    };

    private static byte[] Assemble(Arithmetic arithmetic)
    {
        Assembler assembler = new(64);
        AssemblerRegister64 rounds = OperatingSystem.IsWindows() ? rcx : rdi;
        foreach (AssemblerRegisterZMM register in (AssemblerRegisterZMM[])[.. Sums, zmm30, zmm31])
        {
            assembler.vpxord(register, register, register);
        }

        Label loop = assembler.CreateLabel();
        assembler.Label(ref loop);
        foreach (AssemblerRegisterZMM sum in Sums)
        {
            MultiplyAdd(assembler, arithmetic, sum);
        }

        assembler.dec(rounds);
        assembler.jne(loop);
        assembler.vzeroupper();
        assembler.ret();
        using MemoryStream stream = new();
        assembler.Assemble(new StreamCodeWriter(stream), 0);
        return stream.ToArray();
    }

    private static void MultiplyAdd(Assembler assembler, Arithmetic arithmetic, AssemblerRegisterZMM sum)
    {
        switch (arithmetic)
        {
            case Arithmetic.Int8:
                assembler.vpdpbusd(sum, zmm30, zmm31);
                break;
            case Arithmetic.BFloat16:
                assembler.vdpbf16ps(sum, zmm30, zmm31);
                break;
            default:
                assembler.vfmadd231ps(sum, zmm30, zmm31);
                break;
        }
    }

    private readonly struct MultiplyJob(delegate* unmanaged<long, void> multiply) : IChunkedJob
    {
        public void Execute(int chunk) => multiply(RoundsPerChunk);
    }
}
