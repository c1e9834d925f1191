using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// Assembles the tile kernel of one weight format for a fixed number of rows with AVX-512 (+ VNNI, BF16): the loops over
/// panels and steps and the epilogue are here, a step's arithmetic comes from the derived class.
/// <code>
/// rax arguments   rcx weights   rdx activations   r8 steps left   r9 panels left   r10 output   r11 scratch
/// zmm0..7 integer sums   zmm8..15 float sums   zmm16..31 scratch   k1 rows of the panel that exist
/// </code>
/// Only registers that both calling conventions leave to the callee are used, except xmm6..15, which Windows wants saved.
/// </summary>
internal abstract class TileAssembler(PanelLayout layout, int rows)
{
    /// <summary>
    /// How far ahead of the weights in use lines are requested; hardware prefetch stops at page boundaries. Few rows run
    /// through the weights at the memory's speed and want more of them in flight.
    /// </summary>
    private readonly int _prefetchBytes = rows <= 2 ? 8192 : 4096;

    private const int SavedXmmBytes = 10 * 16;

    private static readonly AssemblerRegisterZMM[] Zmm =
    [
        zmm0, zmm1, zmm2, zmm3, zmm4, zmm5, zmm6, zmm7, zmm8, zmm9, zmm10, zmm11, zmm12, zmm13, zmm14, zmm15,
        zmm16, zmm17, zmm18, zmm19, zmm20, zmm21, zmm22, zmm23, zmm24, zmm25, zmm26, zmm27, zmm28, zmm29, zmm30, zmm31,
    ];

    private static readonly AssemblerRegisterXMM[] WindowsSaved =
        [xmm6, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15];

    protected Assembler Asm { get; } = new(64);

    protected PanelLayout Layout => layout;

    protected int Rows => rows;

    /// <summary>Appends the kernel's code; ends with a return.</summary>
    /// <param name="windowsAbi">Argument in rcx and xmm6..15 preserved, instead of the System V convention.</param>
    public byte[] Assemble(bool windowsAbi)
    {
        Prologue(windowsAbi);
        Label panel = Asm.CreateLabel();
        Asm.Label(ref panel);
        Asm.mov(rdx, __qword_ptr[rax + Field(nameof(TileArguments.Activations))]);
        Asm.mov(r8, __qword_ptr[rax + Field(nameof(TileArguments.Steps))]);
        for (int row = 0; row < rows; row++)
        {
            Asm.vpxord(FloatSum(row), FloatSum(row), FloatSum(row));
        }

        Label step = Asm.CreateLabel();
        Asm.Label(ref step);
        Step();
        Asm.add(rcx, layout.StepBytes);
        Asm.dec(r8);
        Asm.jne(step);
        Store();
        Asm.add(r10, PanelLayout.PanelRows * sizeof(float));
        Asm.dec(r9);
        Asm.jne(panel);
        Epilogue(windowsAbi);
        using var stream = new MemoryStream();
        Asm.Assemble(new StreamCodeWriter(stream), 0);
        return stream.ToArray();
    }

    /// <summary>
    /// Adds one step to the float sums. Weights are at rcx, which stays; activations at rdx, which moves past the step.
    /// </summary>
    protected abstract void Step();

    /// <summary>Loads constants that stay in registers.</summary>
    protected virtual void LoadConstants()
    {
    }

    /// <summary>
    /// Requests part <paramref name="part"/> of <paramref name="parts"/> of a step's lines some way ahead; spread over the
    /// step, because a burst fills the miss buffers and holds up the loads that are needed now.
    /// </summary>
    protected void Prefetch(int part, int parts)
    {
        int lines = layout.StepBytes / 64;
        for (int line = part * lines / parts; line < (part + 1) * lines / parts; line++)
        {
            Asm.prefetcht0(__byte_ptr[rcx + _prefetchBytes + 64 * line]);
        }
    }

    protected static AssemblerRegisterZMM IntegerSum(int row) => Zmm[row];

    protected static AssemblerRegisterZMM FloatSum(int row) => Zmm[8 + row];

    protected static AssemblerRegisterZMM Scratch(int index) => Zmm[16 + index];

    private static int Field(string name) => (int)System.Runtime.InteropServices.Marshal.OffsetOf<TileArguments>(name);

    private void Prologue(bool windowsAbi)
    {
        Asm.mov(rax, windowsAbi ? rcx : rdi);
        if (windowsAbi)
        {
            Asm.sub(rsp, SavedXmmBytes);
            for (int i = 0; i < WindowsSaved.Length; i++)
            {
                Asm.vmovups(__xmmword_ptr[rsp + 16 * i], WindowsSaved[i]);
            }
        }

        Asm.mov(rcx, __qword_ptr[rax + Field(nameof(TileArguments.Weights))]);
        Asm.mov(r9, __qword_ptr[rax + Field(nameof(TileArguments.Panels))]);
        Asm.mov(r10, __qword_ptr[rax + Field(nameof(TileArguments.Output))]);
        Asm.kxnorw(k1, k1, k1);
        LoadConstants();
    }

    /// <summary>Adds bias and residual, in this order, and stores the rows of the panel that exist.</summary>
    private void Store()
    {
        Label wholePanel = Asm.CreateLabel();
        Asm.cmp(r9, 1);
        Asm.jne(wholePanel);
        Asm.kmovw(k1, __word_ptr[rax + Field(nameof(TileArguments.LastPanelMask))]);
        Asm.Label(ref wholePanel);
        AddBias();
        AddResidual();
        Asm.mov(rdx, r10);
        for (int row = 0; row < rows; row++)
        {
            Asm.vmovups(__zmmword_ptr[rdx].k1, FloatSum(row));
            Asm.add(rdx, __qword_ptr[rax + Field(nameof(TileArguments.OutputStride))]);
        }
    }

    private void AddBias()
    {
        Label none = Asm.CreateLabel();
        Asm.mov(rdx, __qword_ptr[rax + Field(nameof(TileArguments.Bias))]);
        Asm.test(rdx, rdx);
        Asm.je(none);
        OutputOffsetTo(r11);
        Asm.vmovups(Scratch(0).k1.z, __zmmword_ptr[rdx + r11]);
        for (int row = 0; row < rows; row++)
        {
            Asm.vaddps(FloatSum(row), FloatSum(row), Scratch(0));
        }

        Asm.Label(ref none);
    }

    private void AddResidual()
    {
        Label none = Asm.CreateLabel();
        Asm.mov(rdx, __qword_ptr[rax + Field(nameof(TileArguments.Residual))]);
        Asm.test(rdx, rdx);
        Asm.je(none);
        OutputOffsetTo(r11);
        Asm.add(rdx, r11);
        for (int row = 0; row < rows; row++)
        {
            Asm.vaddps(FloatSum(row).k1, FloatSum(row), __zmmword_ptr[rdx]);
            Asm.add(rdx, __qword_ptr[rax + Field(nameof(TileArguments.ResidualStride))]);
        }

        Asm.Label(ref none);
    }

    /// <summary>Bytes from the call's first output to this panel's.</summary>
    private void OutputOffsetTo(AssemblerRegister64 register)
    {
        Asm.mov(register, r10);
        Asm.sub(register, __qword_ptr[rax + Field(nameof(TileArguments.Output))]);
    }

    private void Epilogue(bool windowsAbi)
    {
        Asm.vzeroupper();
        if (windowsAbi)
        {
            for (int i = 0; i < WindowsSaved.Length; i++)
            {
                Asm.vmovups(WindowsSaved[i], __xmmword_ptr[rsp + 16 * i]);
            }

            Asm.add(rsp, SavedXmmBytes);
        }

        Asm.ret();
    }
}
