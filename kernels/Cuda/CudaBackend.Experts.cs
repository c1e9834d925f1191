namespace LlamaServe.Kernels.Cuda;

/// <summary>Mixtures of experts. What a step's rows choose stays on the device.</summary>
public sealed partial class CudaBackend
{
    private ExpertOps? _experts;

    public Weight LoadExperts(ReadOnlySpan<WeightData> parts, int experts)
    {
        Enter();
        Check.Experts(parts, experts);
        return _linear.LoadExperts(parts, experts);
    }

    public ExpertRouting Route(Tensor x, Weight router, int expertsPerToken, bool renormalize)
    {
        Check.Routing(router, expertsPerToken);
        StackedLinear matrix = CudaCheck.Matrix(router);
        Check.Activation(x, x.Rows, matrix.Columns, "x", x.Type);
        Tensor logits = _arena.Rent(x.Rows, matrix.Rows);
        ExpertRouting routing = new(0, x.Rows, router.Rows, expertsPerToken);
        routing = routing with { Address = _arena.Rent(1, ExpertOps.Words(routing)).Address };
        if (x.Rows > 0)
        {
            _linear.Run(x, matrix, default, null, logits);
            _experts ??= new ExpertOps(_runtime);
            _experts.Route(logits, routing, renormalize);
        }
        return routing;
    }

    public Tensor ExpertLinear(Tensor x, Weight experts, ExpertRouting routing)
    {
        CudaExperts matrices = CudaCheck.Experts(experts, routing);
        Check.Activation(x, routing.Tokens, matrices.Columns, "x", x.Type);
        Tensor y = _arena.Rent(routing.Assignments, matrices.Rows, DType.BF16);
        if (routing.Tokens > 0)
        {
            _linear.RunExperts(x, matrices, routing, y, gather: true);
        }
        return y;
    }

    public Tensor CombineExperts(Tensor x, Weight experts, ExpertRouting routing, Tensor residual)
    {
        CudaExperts matrices = CudaCheck.Experts(experts, routing);
        Check.Activation(x, routing.Assignments, matrices.Columns, "x", x.Type);
        Check.Activation(residual, routing.Tokens, matrices.Rows, "residual");
        Tensor y = _arena.Rent(routing.Tokens, matrices.Rows);
        if (routing.Tokens > 0)
        {
            Tensor rows = _arena.Rent(routing.Assignments, matrices.Rows);
            _linear.RunExperts(x, matrices, routing, rows, gather: false);
            _experts!.Combine(rows, routing, residual, y);
        }
        return y;
    }
}
