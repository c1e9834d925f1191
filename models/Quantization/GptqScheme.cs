using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Quantization;

/// <summary>
/// GPTQ (arXiv:2210.17323) as AutoGPTQ and GPTQModel store it: a word holds neighbouring inputs of an output in qweight, and
/// neighbouring outputs of a group in qzeros.
/// </summary>
/// <param name="zeroOffset">1: zero points are stored less one, modulo their range (format "gptq"); 0: as they are ("gptq_v2").</param>
internal sealed unsafe class GptqScheme(int bits, int groupSize, int zeroOffset) : GroupScheme(bits, groupSize)
{
    private readonly int _groupSize = groupSize;

    public override IEnumerable<RequiredTensor> Tensors(string module, int rows, int columns) =>
        base.Tensors(module, rows, columns).Append(new RequiredTensor(module + ".g_idx", [[columns]], RequiredTensor.Integers, IsOptional: true));

    public override string? Problem(TensorArchive archive, string module, int rows, int columns)
    {
        if (base.Problem(archive, module, rows, columns) is { } problem)
        {
            return problem;
        }
        if (archive.TryGet(module + ".g_idx", out TensorSource? indices))
        {
            for (int column = 0; column < columns; column++)
            {
                int group = _groupSize == 0 ? 0 : column / _groupSize;
                if (((int*)indices.Address)[column] != group)
                {
                    return "its columns are in the order of their activations (desc_act), which is not supported";
                }
            }
        }
        return null;
    }

    protected override long[] WeightShape(int rows, int columns) => [columns / PerWord, rows];

    protected override void Unpack(uint* source, int firstRow, int rows, int columns, uint* target)
    {
        int words = columns / PerWord;
        for (int word = 0; word < words; word++)
        {
            for (int row = 0; row < PerWord; row++)
            {
                target[(long)row * words + word] = source[(long)word * rows + firstRow + row];
            }
        }
    }

    protected override int Zero(uint* words, int row)
    {
        int mask = (1 << Bits) - 1;
        return ((int)(words[row / PerWord] >> row % PerWord * Bits & mask) + zeroOffset) & mask;
    }
}
