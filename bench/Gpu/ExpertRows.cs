using LlamaServe.Kernels;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Bench.Gpu;

/// <summary>A layer's mixture of experts.</summary>
/// <param name="Name">Of the model that has it.</param>
/// <param name="Chosen">Experts of a token.</param>
internal sealed record GpuMixture(string Name, int Hidden, int FeedForward, int Experts, int Chosen)
{
    /// <summary>arXiv:2401.04088.</summary>
    public static GpuMixture Mixtral { get; } = new("Mixtral 8x7B", 4096, 14336, 8, 2);

    /// <summary>arXiv:2505.09388.</summary>
    public static GpuMixture Qwen3 { get; } = new("Qwen3 30B-A3B", 2048, 768, 128, 8);

    public static GpuMixture Tiny { get; } = new("tiny mixture", 128, 128, 4, 2);

    /// <summary>Experts that at least one token chooses, on average, where all are equally likely.</summary>
    public double Touched(int tokens) => Experts * (1 - Math.Pow(1 - (double)Chosen / Experts, tokens));
}

/// <summary>Routing, and a whole mixture: routing, gate and up of the chosen experts, activation, down, weighted sum.</summary>
internal sealed class ExpertRows(KernelBench bench)
{
    public void Add(GpuMixture mixture, WeightFormat format, int groupSize, int[] tokens)
    {
        string kernel = $"mixture of experts, {ProductRows.Name(format, groupSize)}";
        GpuRow Row(int count) => new(kernel, $"{mixture.Name}, {count} tokens");
        try
        {
            using RandomWeights random = new(format, (long)mixture.FeedForward * mixture.Hidden, groupSize);
            using RandomWeights routers = new(WeightFormat.BF16, (long)mixture.Experts * mixture.Hidden);
            WeightData gate = random.Matrix("gate", mixture.FeedForward, mixture.Hidden), down = random.Matrix("down", mixture.Hidden, mixture.FeedForward);
            using Weight router = bench.Backend.LoadLinear([routers.Matrix("router", mixture.Experts, mixture.Hidden)]);
            using Weight gateUp = bench.Backend.LoadExperts([.. Enumerable.Repeat(gate, 2 * mixture.Experts)], mixture.Experts);
            using Weight downs = bench.Backend.LoadExperts([.. Enumerable.Repeat(down, mixture.Experts)], mixture.Experts);
            foreach (int count in tokens)
            {
                using DeviceRows x = new(bench.Backend, count, mixture.Hidden), residual = new(bench.Backend, count, mixture.Hidden, DType.F32);
                double route = Time(() => bench.Backend.Route(x.Take(count), router, mixture.Chosen, renormalize: true));
                bench.Journal.Add(new GpuRow("route to experts", $"{mixture.Name}, {count} tokens") { Floor = RouteFloor(mixture, count), Value = route });
                double layer = Time(() => Layer(x.Take(count), residual.Take(count), router, gateUp, downs, mixture.Chosen));
                bench.Journal.Add(Row(count) with { Floor = RouteFloor(mixture, count) + Floor(mixture, format, groupSize, count), Value = layer });
            }
        }
        catch (ArgumentException exception)
        {
            bench.Journal.Add(Row(tokens[0]) with { Note = $"not built: {exception.Message}" });
        }
        catch (CudaException exception)
        {
            bench.Journal.Add(Row(tokens[0]) with { Note = $"{GpuRow.Failed}: {exception.Message}" });
        }
    }

    private void Layer(Tensor x, Tensor residual, Weight router, Weight gateUp, Weight downs, int chosen)
    {
        ExpertRouting routing = bench.Backend.Route(x, router, chosen, renormalize: true);
        Tensor products = bench.Backend.ExpertLinear(x, gateUp, routing);
        bench.Backend.CombineExperts(bench.Backend.GatedActivation(products), downs, routing, residual);
    }

    private double Time(Action call)
    {
        bench.Backend.ResetStep();
        return bench.Clock.Seconds(
            _ =>
            {
                bench.Backend.BeginLayer();
                call();
            },
            1);
    }

    /// <summary>Rows and router once.</summary>
    private double RouteFloor(GpuMixture mixture, int tokens) => bench.Limits.Bytes(2.0 * mixture.Hidden * (tokens + mixture.Experts));

    /// <summary>The experts that are touched once, rows in and out of both products; or the operations.</summary>
    private double Floor(GpuMixture mixture, WeightFormat format, int groupSize, int tokens)
    {
        double elements = 3.0 * mixture.FeedForward * mixture.Hidden, assignments = (double)tokens * mixture.Chosen;
        double weights = mixture.Touched(tokens) * 3 * RandomWeights.LeastBytes(format, groupSize, mixture.FeedForward, mixture.Hidden);
        double rows = assignments * (sizeof(ushort) * (mixture.Hidden + 6.0 * mixture.FeedForward) + 2.0 * sizeof(float) * mixture.Hidden);
        return Math.Max(bench.Limits.Bytes(weights + rows), 2 * assignments * elements / bench.Limits.Bf16Operations);
    }
}
