namespace LlamaServe.Kernels.Cpu;

/// <summary>Gates and ups of a gated MLP, stacked.</summary>
internal sealed class CpuGatedLinear(CpuLinear stacked) : Weight(stacked.Rows / 2, stacked.Columns)
{
    public CpuLinear Stacked => stacked;

    public override long ByteLength => stacked.ByteLength;

    public override void Dispose() => stacked.Dispose();
}
