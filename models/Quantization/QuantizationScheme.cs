using LlamaServe.Kernels;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Quantization;

/// <summary>How a snapshot holds those matrices that it does not hold as floats. Which ones those are shows in their tensors.</summary>
internal abstract class QuantizationScheme
{
    /// <param name="module">The matrix's name without ".weight".</param>
    public abstract bool Holds(TensorArchive archive, string module);

    /// <summary>What a matrix [<paramref name="rows"/>, <paramref name="columns"/>] is made of.</summary>
    public abstract IEnumerable<RequiredTensor> Tensors(string module, int rows, int columns);

    /// <summary>Why a matrix whose <see cref="Tensors"/> are all there cannot be served; null where it can.</summary>
    public virtual string? Problem(TensorArchive archive, string module, int rows, int columns) => null;

    /// <summary>The matrix as backends take it. Its <see cref="Tensors"/> are there and it has no <see cref="Problem"/>.</summary>
    public abstract StoredMatrix Read(TensorArchive archive, string module, int rows, int columns);

    /// <summary>Copies scales to [columns][rows] of F32.</summary>
    /// <param name="scales">[rows, columns] F16, BF16 or F32.</param>
    protected static unsafe void Transpose(TensorSource scales, int rows, int columns, float* target)
    {
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < columns; column++)
            {
                long at = (long)row * columns + column;
                target[(long)column * rows + row] = scales.Format switch
                {
                    WeightFormat.F16 => (float)((Half*)scales.Address)[at],
                    WeightFormat.BF16 => BitConverter.UInt32BitsToSingle((uint)((ushort*)scales.Address)[at] << 16),
                    _ => ((float*)scales.Address)[at],
                };
            }
        }
    }
}
