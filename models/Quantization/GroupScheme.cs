using LlamaServe.Kernels;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Quantization;

/// <summary>
/// What GPTQ and AWQ have in common: 4-bit or 8-bit integers packed into words, a scale and a packed zero point for each group of
/// neighbouring inputs, everything with the outputs last: w[output][input] = scale[group][output] · (q − zero[group][output]).
/// </summary>
/// <param name="groupSize">0: one group a row.</param>
internal abstract unsafe class GroupScheme(int bits, int groupSize) : QuantizationScheme
{
    protected int Bits => bits;

    /// <summary>Integers in a word.</summary>
    protected int PerWord => 32 / bits;

    public override bool Holds(TensorArchive archive, string module) => archive.TryGet(module + ".qweight", out _);

    public override IEnumerable<RequiredTensor> Tensors(string module, int rows, int columns)
    {
        int groups = Groups(columns);
        yield return new RequiredTensor(module + ".qweight", [WeightShape(rows, columns)], RequiredTensor.Integers);
        yield return new RequiredTensor(module + ".qzeros", [[groups, rows / PerWord]], RequiredTensor.Integers);
        yield return new RequiredTensor(module + ".scales", [[groups, rows]], RequiredTensor.Floats);
    }

    public override string? Problem(TensorArchive archive, string module, int rows, int columns) =>
        rows % PerWord != 0 || columns % PerWord != 0 ? $"[{rows}, {columns}] does not fill words of {PerWord} integers"
        : groupSize > 0 && columns % groupSize != 0 ? $"{columns} columns are not whole groups of {groupSize}"
        : null;

    public override StoredMatrix Read(TensorArchive archive, string module, int rows, int columns)
    {
        TensorSource[] sources = [.. Tensors(module, rows, columns).Where(tensor => archive.TryGet(tensor.Name, out _)).Select(tensor => archive.Get(tensor.Name))];
        (TensorSource words, TensorSource zeros, TensorSource scales) = (sources[0], sources[1], sources[2]);
        WeightFormat format = bits == 4 ? WeightFormat.Int4 : WeightFormat.Int8;
        int groups = Groups(columns), rowWords = columns / PerWord;
        StoredMatrix matrix = new(new WeightData(words.Name, format, rows, columns, 0) { GroupSize = groupSize }, sources);
        uint* source = (uint*)words.Address, target = (uint*)matrix.Allocate(format.Bytes((long)rows * columns));
        Parallel.For(0, rows / PerWord, block => Unpack(source, block * PerWord, rows, columns, target + (long)block * PerWord * rowWords));
        nint floats = matrix.Allocate((long)rows * groups * sizeof(float)), bytes = matrix.Allocate((long)rows * groups);
        Transpose(scales, groups, rows, (float*)floats);
        bool isSymmetric = ReadZeros((uint*)zeros.Address, groups, rows, (byte*)bytes);
        if (isSymmetric && bits == 8)
        {
            FlipSigns(target, (long)rows * rowWords);
        }
        matrix.Data = matrix.Data with { Address = (nint)target, Scales = floats, ZeroPoints = isSymmetric ? 0 : bytes };
        return matrix;
    }

    /// <summary>[inputs, outputs] after packing.</summary>
    protected abstract long[] WeightShape(int rows, int columns);

    /// <summary>Unpacks a word's number of rows, as words of neighbouring columns, the first one lowest.</summary>
    /// <param name="target">[PerWord][columns / PerWord].</param>
    protected abstract void Unpack(uint* source, int firstRow, int rows, int columns, uint* target);

    /// <summary>The zero point of a row out of a group's words.</summary>
    protected abstract int Zero(uint* words, int row);

    protected int Groups(int columns) => groupSize == 0 ? 1 : columns / groupSize;

    /// <summary>Reads zero points to [rows][groups]; whether all are the middle, which formats without zero points imply.</summary>
    private bool ReadZeros(uint* words, int groups, int rows, byte* target)
    {
        bool isSymmetric = true;
        for (int group = 0; group < groups; group++)
        {
            for (int row = 0; row < rows; row++)
            {
                int zero = Zero(words + (long)group * (rows / PerWord), row);
                target[(long)row * groups + group] = (byte)zero;
                isSymmetric &= zero == 1 << (bits - 1);
            }
        }
        return isSymmetric;
    }

    private static void FlipSigns(uint* words, long count)
    {
        for (long i = 0; i < count; i++)
        {
            words[i] ^= 0x80808080;
        }
    }
}
