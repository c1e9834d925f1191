using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace LlamaServe.Kernels.Cpu;

/// <summary>F32, F16 (widened) and BF16 panels: one multiply-add an element, or a pair of elements for BF16, in K order.</summary>
internal sealed class FloatTileAssembler(WeightFormat format, int rows)
    : TileAssembler(PanelLayout.Of(format), rows)
{
    private const int WeightRegisters = 4;

    protected override void Step()
    {
        int groupColumns = format == WeightFormat.BF16 ? 2 : 1;
        int groups = Layout.StepColumns / groupColumns;
        int groupBytes = Layout.StepBytes / groups;
        for (int group = 0; group < groups; group++)
        {
            AssemblerRegisterZMM weights = Scratch(group % WeightRegisters);
            Prefetch(group, groups);
            LoadWeights(weights, group * groupBytes);
            for (int row = 0; row < Rows; row++)
            {
                Multiply(FloatSum(row), weights, __dword_bcst[rdx + row * Layout.ActivationStepBytes + group * 4]);
            }
        }

        Asm.add(rdx, Rows * Layout.ActivationStepBytes);
    }

    private void LoadWeights(AssemblerRegisterZMM weights, int offset)
    {
        if (format == WeightFormat.F16)
        {
            Asm.vcvtph2ps(weights, __ymmword_ptr[rcx + offset]);
        }
        else
        {
            Asm.vmovups(weights, __zmmword_ptr[rcx + offset]);
        }
    }

    private void Multiply(AssemblerRegisterZMM sum, AssemblerRegisterZMM weights, AssemblerMemoryOperand activation)
    {
        if (format == WeightFormat.BF16)
        {
            Asm.vdpbf16ps(sum, weights, activation);
        }
        else
        {
            Asm.vfmadd231ps(sum, weights, activation);
        }
    }
}
