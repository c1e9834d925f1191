namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// A matrix for each expert, all of one shape: segments as <see cref="CudaLinear"/>'s, in each of which the experts lie one after the
/// other. The device memory belongs to the pool that it came from.
/// </summary>
internal sealed class CudaExperts(CudaMatrix[] segments) : Weight(segments.Sum(segment => segment.Rows), segments[0].Columns)
{
    public int Count => segments[0].Experts;

    public ReadOnlySpan<CudaMatrix> Segments => segments;

    public override long ByteLength => segments.Sum(segment => segment.ByteLength);

    public override void Dispose()
    {
    }
}
