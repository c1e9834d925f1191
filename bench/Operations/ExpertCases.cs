using LlamaServe.Bench.Gpu;
using LlamaServe.Bench.Machine;
using LlamaServe.Bench.Models;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cpu;

namespace LlamaServe.Bench.Operations;

/// <summary>A layer of eight experts, two for each token, a quarter as wide each as the dense layer.</summary>
internal sealed class ExpertCases(CpuBackend backend, LlamaShape shape, WeightFormat format, int[] rowCounts)
{
    private const int Experts = 8;
    private const int PerToken = 2;

    private int Width => shape.FeedForward / 4;

    public IEnumerable<OperationCase> All() => rowCounts.SelectMany(rows => Route(rows).Concat(Multiply(rows)));

    private IEnumerable<OperationCase> Route(int rows)
    {
        using RandomWeights random = new(WeightFormat.BF16, (long)Experts * shape.Hidden);
        using Weight router = backend.LoadLinear([random.Matrix("router", Experts, shape.Hidden)]);
        double bytes = (double)sizeof(float) * rows * shape.Hidden;
        int variants = Activations.Variants(bytes);
        using Activations x = new(variants, rows, shape.Hidden);
        yield return new OperationCase("Route", $"[{rows} × {shape.Hidden}] to {PerToken} of {Experts}", variants, variant =>
        {
            backend.ResetStep();
            backend.Route(x[variant], router, PerToken, renormalize: true);
        })
        {
            Bytes = bytes,
            MultiplyAdds = (double)rows * Experts * shape.Hidden,
            Arithmetic = Arithmetic.BFloat16,
        };
    }

    private IEnumerable<OperationCase> Multiply(int rows)
    {
        long elements = (long)Width * shape.Hidden;
        using RandomWeights random = new(format, elements), routing = new(WeightFormat.BF16, (long)Experts * shape.Hidden);
        using Weight router = backend.LoadLinear([routing.Matrix("router", Experts, shape.Hidden)]);
        int variants = Activations.Variants(format.Bytes(Experts * elements));
        using Activations x = new(1, rows, shape.Hidden), inner = new(1, rows * PerToken, Width);
        Weight[] first = [.. Enumerable.Range(0, variants).Select(_ => Load(Width, shape.Hidden))];
        Weight[] second = [.. Enumerable.Range(0, variants).Select(_ => Load(shape.Hidden, Width))];
        // Routing costs little beside it and has a row of its own.
        yield return Case("Route, ExpertLinear", variant => backend.ExpertLinear(x[0], first[variant], Routed()));
        yield return Case("Route, CombineExperts", variant => backend.CombineExperts(inner[0], second[variant], Routed(), x[0]));
        Array.ForEach([.. first, .. second], weight => weight.Dispose());

        ExpertRouting Routed()
        {
            backend.ResetStep();
            return backend.Route(x[0], router, PerToken, renormalize: true);
        }

        OperationCase Case(string name, Action<int> run) => new(name, $"{format}, {PerToken} of {Experts} × [{rows} × {shape.Hidden} ↔ {Width}]", variants, run)
        {
            Bytes = format.Bytes(Math.Min(Experts, rows * PerToken) * elements),
            MultiplyAdds = (double)rows * PerToken * elements,
            Arithmetic = Arithmetic.Int8,
        };

        Weight Load(int outputs, int inputs) =>
            backend.LoadExperts([.. Enumerable.Repeat(random.Matrix("expert", outputs, inputs), Experts)], Experts);
    }
}
