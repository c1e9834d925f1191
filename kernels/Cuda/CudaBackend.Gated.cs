namespace LlamaServe.Kernels.Cuda;

/// <summary>Gated MLPs: silu(gate) · up.</summary>
public sealed partial class CudaBackend
{
    public Weight LoadGatedLinear(ReadOnlySpan<WeightData> gateParts, ReadOnlySpan<WeightData> upParts)
    {
        Enter();
        Check.Gated(gateParts, upParts);
        return _linear.LoadGated(gateParts, upParts) is { } interleaved
            ? new CudaGatedLinear(interleaved, null)
            : new CudaGatedLinear(null, _linear.Load([.. gateParts, .. upParts]));
    }

    public Tensor GatedLinear(Tensor x, Weight weight)
    {
        CudaGatedLinear matrix = CudaCheck.Gated(weight);
        if (matrix.Interleaved is not { } interleaved)
        {
            return GatedActivation(Linear(x, matrix.Stacked!));
        }
        Check.Activation(x, x.Rows, interleaved.Columns, "x", x.Type);
        Tensor y = _arena.Rent(x.Rows, interleaved.Rows, DType.BF16);
        if (x.Rows > 0)
        {
            _linear.Run(x, interleaved, default, null, y);
        }
        return y;
    }

    public Tensor GatedActivation(Tensor gateUp)
    {
        Check.Activation(gateUp, "gate|up", gateUp.Type);
        Check.That(gateUp.Columns % 2 == 0, $"gate|up has {gateUp.Columns} columns, an odd number");
        Tensor y = _arena.Rent(gateUp.Rows, gateUp.Columns / 2, gateUp.Type);
        if (!_linear.Quantizer.GatedActivation(gateUp, y))
        {
            _rows.GatedActivation(gateUp, y);
        }
        return y;
    }
}
