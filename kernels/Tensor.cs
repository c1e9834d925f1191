namespace LlamaServe.Kernels;

/// <summary>
/// A view of activations in the backend's memory: row-major [Rows, Columns], rows <see cref="RowStride"/> elements apart.
/// It owns nothing: what <see cref="IBackend"/>'s operations return is valid until the next <see cref="IBackend.ResetStep"/>.
/// </summary>
/// <param name="Address">First element; host memory on the CPU, device memory on a GPU.</param>
/// <param name="RowStride">Elements from one row to the next, at least <paramref name="Columns"/>.</param>
public readonly record struct Tensor(nint Address, int Rows, int Columns, int RowStride, DType Type)
{
    /// <summary>Columns [<paramref name="start"/>, <paramref name="start"/> + <paramref name="count"/>) of every row.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the tensor.</exception>
    public Tensor Slice(int start, int count)
    {
        if ((uint)start > (uint)Columns || (uint)count > (uint)(Columns - start))
        {
            throw new ArgumentOutOfRangeException(nameof(start), $"columns [{start}, {start + count}) of {Columns}");
        }
        return this with { Address = Address + (nint)start * Type.Size(), Columns = count };
    }
}
