using LlamaServe.Kernels;

namespace LlamaServe.Models.Weights;

/// <summary>Where a header says a tensor lies; checked before any address is made of it.</summary>
/// <param name="Format">Null for integers of 32 bits.</param>
/// <param name="Shape">Row-major, outermost dimension first.</param>
/// <param name="Begin">Offset of the first byte in the file.</param>
internal readonly record struct TensorExtent(string Name, WeightFormat? Format, long[] Shape, long Begin, long ByteLength)
{
    public long End => Begin + ByteLength;

    /// <summary>Bytes that a tensor of this format and shape takes.</summary>
    /// <exception cref="CheckpointException">Rows are not whole blocks, or the size overflows.</exception>
    public static long Size(string fileName, string name, WeightFormat? format, long[] shape)
    {
        long columns = shape.Length == 0 ? 1 : shape[^1];
        if (format is { } blocks && columns % blocks.BlockElements() != 0)
        {
            throw new CheckpointException(fileName,
                $"tensor {CheckpointException.Quote(name)}: rows of {columns} elements are not whole {blocks} blocks of {blocks.BlockElements()}");
        }
        try
        {
            long elements = 1;
            foreach (long dimension in shape)
            {
                elements = checked(elements * dimension);
            }
            return format is { } known ? known.Bytes(elements) : checked(sizeof(int) * elements);
        }
        catch (OverflowException e)
        {
            throw new CheckpointException(fileName, $"tensor {CheckpointException.Quote(name)} has an impossible size", e);
        }
    }

    /// <summary>Turns extents into tensors after checking that each lies in the file, aligned, and that none overlap.</summary>
    /// <exception cref="CheckpointException">An extent is outside the file, misaligned, or overlaps another.</exception>
    public static void AddTo(Dictionary<string, TensorSource> tensors, List<TensorExtent> extents, MappedFile file)
    {
        extents.Sort((a, b) => a.Begin != b.Begin ? a.Begin.CompareTo(b.Begin) : a.ByteLength.CompareTo(b.ByteLength));
        long free = 0;
        foreach (TensorExtent extent in extents)
        {
            string name = CheckpointException.Quote(extent.Name);
            if (extent.Begin < free)
            {
                throw new CheckpointException(file.Name, $"tensor {name} overlaps another one");
            }
            if (extent.Begin > file.Length || extent.ByteLength > file.Length - extent.Begin)
            {
                throw new CheckpointException(file.Name,
                    $"the file is truncated: tensor {name} ends at byte {(Int128)extent.Begin + extent.ByteLength} of {file.Length}");
            }
            int alignment = extent.Format is not { } format ? sizeof(int) : format.BlockElements() == 1 ? format.BlockBytes() : 1;
            if (extent.Begin % alignment != 0)
            {
                throw new CheckpointException(file.Name, $"tensor {name} is not aligned to {alignment} bytes; write the file again with a current tool");
            }
            if (!tensors.TryAdd(extent.Name, new TensorSource(extent.Name, extent.Format, extent.Shape,
                file.Address + (nint)extent.Begin, extent.ByteLength, file.Name)))
            {
                throw new CheckpointException(file.Name, $"tensor {name} occurs twice");
            }
            free = extent.End;
        }
    }
}
