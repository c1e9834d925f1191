namespace LlamaServe.Kernels.Cuda;

/// <summary>Gates and ups of a gated MLP.</summary>
/// <param name="interleaved">In turns, for kernels that apply the activation, or null.</param>
/// <param name="stacked">One after the other, where the formats differ or the kernels do not apply it, or null.</param>
internal sealed class CudaGatedLinear(StackedLinear? interleaved, Weight? stacked)
    : Weight(interleaved?.Rows ?? stacked!.Rows / 2, interleaved?.Columns ?? stacked!.Columns)
{
    public StackedLinear? Interleaved => interleaved;

    public Weight? Stacked => stacked;

    public override long ByteLength => interleaved?.ByteLength ?? stacked!.ByteLength;

    /// <summary>The memory belongs to the backend's pool.</summary>
    public override void Dispose()
    {
    }
}
