namespace LlamaServe.Kernels.Cpu;

/// <summary>Gated MLPs: silu(gate) · up.</summary>
public sealed unsafe partial class CpuBackend
{
    public Weight LoadGatedLinear(ReadOnlySpan<WeightData> gateParts, ReadOnlySpan<WeightData> upParts)
    {
        Check.Gated(gateParts, upParts);
        return new CpuGatedLinear(new CpuLinear(_pool, [.. gateParts, .. upParts]));
    }

    public Tensor GatedLinear(Tensor x, Weight weight)
    {
        CpuGatedLinear matrix = weight as CpuGatedLinear ?? throw new ArgumentException("the weight was not loaded by LoadGatedLinear of this backend");
        return GatedActivation(Linear(x, matrix.Stacked));
    }

    public Tensor GatedActivation(Tensor gateUp)
    {
        Check.Activation(gateUp, "gate|up");
        Check.That(gateUp.Columns % 2 == 0, $"gate|up has {gateUp.Columns} columns, an odd number");
        Tensor y = _arena.Rent(gateUp.Rows, gateUp.Columns / 2);
        Cpu.GatedActivation.Run(_pool, gateUp, y);
        return y;
    }
}
