using LlamaServe.Kernels;

namespace LlamaServe.Models.Weights;

/// <summary>A tensor inside a mapped checkpoint file; the bytes stay valid until its archive is disposed.</summary>
/// <param name="Name">The checkpoint's own name.</param>
/// <param name="Format">Null for integers of 32 bits, into which quantized snapshots pack smaller ones.</param>
/// <param name="Shape">Row-major, outermost dimension first, whatever the file format's own order.</param>
/// <param name="Address">First byte; aligned to the element for F32, F16 and BF16.</param>
/// <param name="FileName">The file that holds it, without folder.</param>
public sealed record TensorSource(string Name, WeightFormat? Format, long[] Shape, nint Address, long ByteLength, string FileName)
{
    /// <summary>What the elements are, for messages.</summary>
    public string TypeName => Format?.ToString() ?? "I32";

    /// <summary>The tensor as a matrix.</summary>
    /// <exception cref="CheckpointException">The shape is another one, or the elements are packed integers.</exception>
    public WeightData AsMatrix(int rows, int columns) => Expect([rows, columns], rows, columns);

    /// <summary>The tensor as a vector, which a backend takes as a matrix of one row.</summary>
    /// <exception cref="CheckpointException">The shape is another one, or the elements are packed integers.</exception>
    public WeightData AsVector(int length) => Expect([length], 1, length);

    /// <summary>One of several matrices that are stacked in the tensor.</summary>
    /// <exception cref="CheckpointException">The shape is another one.</exception>
    public WeightData AsStacked(int count, int rows, int columns, int index)
    {
        WeightData first = Expect([count, rows, columns], rows, columns);
        return first with { Address = Address + (nint)(index * first.Format.Bytes((long)rows * columns)) };
    }

    private WeightData Expect(ReadOnlySpan<long> shape, int rows, int columns)
    {
        if (!shape.SequenceEqual(Shape))
        {
            throw new CheckpointException(FileName,
                $"tensor {CheckpointException.Quote(Name)} has shape [{string.Join(", ", Shape)}], expected [{string.Join(", ", shape.ToArray())}]");
        }
        WeightFormat format = Format ?? throw new CheckpointException(FileName, $"tensor {CheckpointException.Quote(Name)} has type {TypeName}");
        return new WeightData(Name, format, rows, columns, Address);
    }
}
