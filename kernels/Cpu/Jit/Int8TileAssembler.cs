using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// Q8_0, Q4_0, Q4_K and Q6_K panels: VPDPBUSD of unsigned weights and signed activations, four columns an instruction, into
/// 32-bit sums that start at −offset·Σq of the activations; then per scale group sum·(weight scale·activation scale) is added
/// to the float sums, in K order.
/// </summary>
internal sealed class Int8TileAssembler(WeightFormat format, int rows)
    : TileAssembler(PanelLayout.Of(format), rows)
{
    private const int BlockColumns = PanelLayout.BlockColumns;
    private const int U4BlockBytes = 256;
    private const int U2BlockBytes = 128;
    private const int U8BlockBytes = 512;

    // Byte offsets behind the quants of a step; see PanelLayout.
    private const int KScales = 2048, KMins = 2176, KScaleOfScales = 2304, KScaleOfMins = 2336;
    private const int Q6Scales = 3072, Q6ScaleOfScales = 3328;

    private static readonly AssemblerRegisterZMM LowNibbles = zmm31, PairMask = zmm30;
    private static readonly AssemblerRegisterZMM ScaleOfScales = zmm29, ScaleOfMins = zmm28;
    private static readonly AssemblerRegisterZMM WeightScale = zmm27, WeightMin = zmm26;

    private int ActivationScales => Rows * BlockColumns;

    protected override void LoadConstants()
    {
        LoadConstant(LowNibbles, 0x0F0F0F0F);
        LoadConstant(PairMask, 0x30303030);
    }

    protected override void Step()
    {
        LoadStepScales();
        for (int block = 0; block < Layout.StepColumns / BlockColumns; block++)
        {
            if (format == WeightFormat.Q6_K)
            {
                Q6Block(block);
            }
            else
            {
                StartSums(correction: 0);
                MultiplyBlock(block);
                LoadBlockScale(block);
                ScaleSums();
            }

            Asm.add(rdx, Layout.ActivationStepBytes * BlockColumns / Layout.StepColumns * Rows);
        }
    }

    private void LoadConstant(AssemblerRegisterZMM register, int value)
    {
        Asm.mov(r11d, value);
        Asm.vpbroadcastd(register, r11d);
    }

    private void LoadStepScales()
    {
        if (format == WeightFormat.Q4_K)
        {
            Asm.vcvtph2ps(ScaleOfScales, __ymmword_ptr[rcx + KScaleOfScales]);
            Asm.vcvtph2ps(ScaleOfMins, __ymmword_ptr[rcx + KScaleOfMins]);
        }
        else if (format == WeightFormat.Q6_K)
        {
            Asm.vcvtph2ps(ScaleOfScales, __ymmword_ptr[rcx + Q6ScaleOfScales]);
        }
    }

    private void LoadBlockScale(int block)
    {
        int quantBytes = format == WeightFormat.Q8_0 ? U8BlockBytes : U4BlockBytes;
        if (format == WeightFormat.Q4_K)
        {
            LoadScaled(WeightScale, KScales + 16 * block, ScaleOfScales);
            LoadScaled(WeightMin, KMins + 16 * block, ScaleOfMins);
        }
        else
        {
            Asm.vcvtph2ps(WeightScale, __ymmword_ptr[rcx + Layout.StepColumns / BlockColumns * quantBytes + 32 * block]);
        }
    }

    private void LoadScaled(AssemblerRegisterZMM register, int offset, AssemblerRegisterZMM scale)
    {
        if (format == WeightFormat.Q6_K)
        {
            Asm.vpmovsxbd(register, __xmmword_ptr[rcx + offset]);
        }
        else
        {
            Asm.vpmovzxbd(register, __xmmword_ptr[rcx + offset]);
        }

        Asm.vcvtdq2ps(register, register);
        Asm.vmulps(register, register, scale);
    }

    /// <summary>Integer sums start at the activations' correction, or at zero where the format has a minimum instead.</summary>
    private void StartSums(int correction)
    {
        for (int row = 0; row < Rows; row++)
        {
            if (format == WeightFormat.Q4_K)
            {
                Asm.vpxord(IntegerSum(row), IntegerSum(row), IntegerSum(row));
            }
            else
            {
                Asm.vpbroadcastd(IntegerSum(row), __dword_ptr[rdx + ActivationScales + 4 * (Rows * (1 + correction) + row)]);
            }
        }
    }

    private void MultiplyBlock(int block)
    {
        for (int quad = 0; quad < 4; quad++)
        {
            Prefetch(4 * block + quad, Layout.StepColumns / 8);
            AssemblerRegisterZMM low = Scratch(2 * (quad % 2)), high = Scratch(2 * (quad % 2) + 1);
            if (format == WeightFormat.Q8_0)
            {
                Asm.vmovups(low, __zmmword_ptr[rcx + block * U8BlockBytes + 64 * quad]);
                Asm.vmovups(high, __zmmword_ptr[rcx + block * U8BlockBytes + 64 * (quad + 4)]);
            }
            else
            {
                Asm.vmovups(high, __zmmword_ptr[rcx + block * U4BlockBytes + 64 * quad]);
                Asm.vpandd(low, high, LowNibbles);
                Asm.vpsrlw(high, high, 4);
                Asm.vpandd(high, high, LowNibbles);
            }

            MultiplyQuad(low, quad);
            MultiplyQuad(high, quad + 4);
        }
    }

    private void MultiplyQuad(AssemblerRegisterZMM weights, int quad)
    {
        for (int row = 0; row < Rows; row++)
        {
            Asm.vpdpbusd(IntegerSum(row), weights, __dword_bcst[rdx + row * BlockColumns + 4 * quad]);
        }
    }

    private void ScaleSums()
    {
        for (int row = 0; row < Rows; row++)
        {
            AssemblerRegisterZMM scale = Scratch(4 + row % 4);
            Asm.vmulps(scale, WeightScale, __dword_bcst[rdx + ActivationScales + 4 * row]);
            Asm.vcvtdq2ps(IntegerSum(row), IntegerSum(row));
            Asm.vfmadd231ps(FloatSum(row), IntegerSum(row), scale);
            if (format == WeightFormat.Q4_K)
            {
                Asm.vfnmadd231ps(FloatSum(row), WeightMin, __dword_bcst[rdx + ActivationScales + 4 * (Rows + row)]);
            }
        }
    }

    /// <summary>Two scale groups of sixteen; the first is in the low nibbles, the second in the high ones.</summary>
    private void Q6Block(int block)
    {
        int nibbles = block * (U4BlockBytes + U2BlockBytes);
        for (int half = 0; half < 2; half++)
        {
            StartSums(correction: half);
            Asm.vmovups(Scratch(8), __zmmword_ptr[rcx + nibbles + U4BlockBytes + 64 * half]);
            for (int quad = 0; quad < 4; quad++)
            {
                Prefetch(8 * block + 4 * half + quad, Layout.StepColumns / 4);
                AssemblerRegisterZMM weights = Scratch(quad % 2);
                Asm.vmovups(weights, __zmmword_ptr[rcx + nibbles + 64 * quad]);
                if (half == 1)
                {
                    Asm.vpsrlw(weights, weights, 4);
                }

                Asm.vpandd(weights, weights, LowNibbles);
                AddHighBits(weights, Scratch(8), quad);
                MultiplyQuad(weights, 4 * half + quad);
            }

            LoadScaled(WeightScale, Q6Scales + 16 * (2 * block + half), ScaleOfScales);
            ScaleSums();
        }
    }

    private void AddHighBits(AssemblerRegisterZMM weights, AssemblerRegisterZMM pairs, int quad)
    {
        const byte FirstOrSecondAndThird = 0xF8;
        AssemblerRegisterZMM shifted = quad == 2 ? pairs : Scratch(2 + quad % 2);
        if (quad < 2)
        {
            Asm.vpsllw(shifted, pairs, (byte)(4 - 2 * quad));
        }
        else if (quad == 3)
        {
            Asm.vpsrlw(shifted, pairs, 2);
        }

        Asm.vpternlogd(weights, shifted, PairMask, FirstOrSecondAndThird);
    }
}
