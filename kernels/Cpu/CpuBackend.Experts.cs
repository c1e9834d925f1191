namespace LlamaServe.Kernels.Cpu;

/// <summary>Mixtures of experts.</summary>
public sealed unsafe partial class CpuBackend
{
    public Weight LoadExperts(ReadOnlySpan<WeightData> parts, int experts)
    {
        Check.Experts(parts, experts);
        return new CpuExperts(_pool, parts, experts);
    }

    public ExpertRouting Route(Tensor x, Weight router, int expertsPerToken, bool renormalize)
    {
        Check.Routing(router, expertsPerToken);
        Tensor logits = Linear(x, router);
        ExpertRouting routing = new(0, x.Rows, router.Rows, expertsPerToken);
        routing = routing with { Address = _arena.Rent(1, Cpu.Route.Words(routing)).Address };
        Cpu.Route.Run(_pool, logits, routing, renormalize);
        return routing;
    }

    public Tensor ExpertLinear(Tensor x, Weight experts, ExpertRouting routing)
    {
        CpuExperts matrices = CpuCheck.Experts(experts, routing);
        Check.Activation(x, routing.Tokens, matrices.Columns, "x");
        return Multiply(x, matrices, routing, gather: true);
    }

    public Tensor CombineExperts(Tensor x, Weight experts, ExpertRouting routing, Tensor residual)
    {
        CpuExperts matrices = CpuCheck.Experts(experts, routing);
        Check.Activation(x, routing.Assignments, matrices.Columns, "x");
        Check.Activation(residual, routing.Tokens, matrices.Rows, "residual");
        Tensor y = _arena.Rent(routing.Tokens, matrices.Rows);
        Cpu.CombineExperts.Run(_pool, Multiply(x, matrices, routing, gather: false), routing, residual, y);
        return y;
    }

    private Tensor Multiply(Tensor x, CpuExperts experts, ExpertRouting routing, bool gather)
    {
        Tensor y = _arena.Rent(routing.Assignments, experts.Rows);
        _expertMatMul.Run(x, experts, routing, y, gather);
        return y;
    }
}
