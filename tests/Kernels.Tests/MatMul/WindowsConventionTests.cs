using Iced.Intel;
using LlamaServe.Kernels.Cpu;
using static Iced.Intel.AssemblerRegisters;

namespace LlamaServe.Kernels.Tests.MatMul;

/// <summary>Runs kernels assembled for Windows on any system, through a caller that follows the Windows convention.</summary>
public sealed unsafe class WindowsConventionTests
{
    private const int Columns = 512;
    private const int Outputs = 37;

    private static readonly AssemblerRegisterXMM[] Preserved =
        [xmm6, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15];

    [TestCase(WeightFormat.Q4_0, 1)]
    [TestCase(WeightFormat.Q6_K, 8)]
    [TestCase(WeightFormat.F32, 5)]
    public void Kernel_gives_the_same_result_and_preserves_the_registers_it_must(WeightFormat format, int rows)
    {
        if (OperatingSystem.IsWindows() || !CpuFeatures.Detect().Vnni)
        {
            Assert.Ignore("needs a System V machine with AVX512-VNNI");
        }

        TileAssembler assembler = format == WeightFormat.F32
            ? new FloatTileAssembler(format, rows) : new Int8TileAssembler(format, rows);
        using ExecutableMemory kernel = ExecutableMemory.Load(assembler.Assemble(windowsAbi: true));
        using ExecutableMemory caller = ExecutableMemory.Load(WindowsCaller(kernel.Address));
        SampleWeights weights = SampleWeights.Random(format, Outputs, Columns, seed: 30);
        float[] input = MatMulReference.RandomActivations(rows, Columns, seed: 30), output = new float[rows * Outputs];
        using var pool = new WorkerPool(1);
        using PackedMatrix matrix = MatMulReference.Pack(pool, weights);
        byte[] encoded = new byte[rows * matrix.Steps * matrix.Layout.ActivationStepBytes];
        fixed (float* x = input, y = output)
        fixed (byte* activations = encoded)
        {
            ActivationEncoder.EncodeTile(x, Columns, rows, Columns, matrix.Layout, activations);
            TileArguments call = new()
            {
                Weights = matrix.Panel(0),
                Activations = activations,
                Output = y,
                OutputStride = Outputs * sizeof(float),
                Steps = matrix.Steps,
                Panels = matrix.Panels,
                LastPanelMask = matrix.LastPanelMask,
                Rows = rows,
            };
            Assert.That(((delegate* unmanaged<TileArguments*, int>)caller.Address)(&call), Is.Zero, "a preserved register changed");
        }

        Assert.That(output, Is.EqualTo(MatMulReference.Run(CpuFeatures.Portable, weights, input, rows)));
    }

    /// <summary>A System V function that calls the kernel as Windows code would and returns 0 if xmm6..15 survive.</summary>
    private static byte[] WindowsCaller(nint kernel)
    {
        var caller = new Assembler(64);
        for (int i = 0; i < Preserved.Length; i++)
        {
            caller.mov(eax, 1000 + i);
            caller.vmovd(Preserved[i], eax);
            caller.vpbroadcastd(Preserved[i], Preserved[i]);
        }

        caller.mov(rcx, rdi);
        caller.mov(rax, (long)kernel);
        caller.sub(rsp, 40);
        caller.call(rax);
        caller.add(rsp, 40);
        caller.xor(eax, eax);
        for (int i = 0; i < Preserved.Length; i++)
        {
            caller.vmovd(edx, Preserved[i]);
            caller.sub(edx, 1000 + i);
            caller.or(eax, edx);
            caller.vpextrd(edx, Preserved[i], 3);
            caller.sub(edx, 1000 + i);
            caller.or(eax, edx);
        }

        caller.ret();
        using var stream = new MemoryStream();
        caller.Assemble(new StreamCodeWriter(stream), 0);
        return stream.ToArray();
    }
}
