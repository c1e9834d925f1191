using System.CommandLine;
using LlamaServe.Bench.Cost;
using LlamaServe.Engine;

namespace LlamaServe.Bench.Simulation;

/// <summary>The options of <c>simulate</c>: what serves, and by <see cref="SimulatedLoadArguments"/> what arrives.</summary>
internal static class SimulateArguments
{
    private static readonly Option<string> Model = new("--model") { DefaultValueFactory = _ => "llama-3-70b", Description = string.Join(", ", ModelShape.Known.Select(known => known.Name)) };
    private static readonly Option<double> WeightBits = new("--weight-bits") { DefaultValueFactory = _ => 8, Description = "Of a weight: 4, 8 or 16." };
    private static readonly Option<double> KvBits = new("--kv-bits") { DefaultValueFactory = _ => 8, Description = "Of an element of keys and values." };
    private static readonly Option<string> Gpu = new("--gpu") { DefaultValueFactory = _ => "H100", Description = string.Join(", ", DataSheet.Known.Select(known => known.Name)) };
    private static readonly Option<string?> StepCost = new("--step-cost") { Description = "A file that simulate check has written: measured steps instead of a data sheet." };
    private static readonly Option<int> Parallel = Count("--tensor-parallel", "GPUs of a replica; they share its KV heads evenly.", 2);
    private static readonly Option<int> Replicas = Count("--replicas", "Replicas behind the router.", 4);
    private static readonly Option<Routing> Route = new("--routing") { DefaultValueFactory = _ => Routing.LeastLoaded };
    private static readonly Option<int> Concurrency = Count("--max-concurrency", "Conversations under way at most.", int.MaxValue);
    private static readonly Option<int> MaxSequences = Count("--max-sequences", "Running at a time on a replica.", 256);
    private static readonly Option<int> TokenBudget = Count("--token-budget", "Tokens of a step at most.", 8192);
    private static readonly Option<double> StepTime = new("--step-time") { Description = "Milliseconds that prompts may stretch a step to while others decode; by default any." };
    private static readonly Option<double> Compute = new("--compute-efficiency") { DefaultValueFactory = _ => 0.7, Description = "Part of the data sheet's operations that products reach: an assumption." };
    private static readonly Option<double> Bandwidth = new("--bandwidth-efficiency") { DefaultValueFactory = _ => 0.85, Description = "Part of its bandwidth that reads reach: an assumption." };

    public static IReadOnlyList<Option> All { get; } =
    [
        Model, WeightBits, KvBits, Gpu, StepCost, Parallel, Replicas, Route, Concurrency, MaxSequences, TokenBudget, StepTime, Compute, Bandwidth,
        .. SimulatedLoadArguments.All, .. PriceArguments.OfOneDevice,
    ];

    /// <exception cref="ArgumentException">A value is out of range, options contradict each other, or the model does not fit the devices.</exception>
    public static SimulatedRun Read(ParseResult parsed)
    {
        int[] counts = [.. new[] { Parallel, Replicas, Concurrency, MaxSequences, TokenBudget }.Select(parsed.GetValue)];
        if (counts.Min() < 1 || parsed.GetValue(StepTime) is not (>= 0 and <= 1e6))
        {
            throw new ArgumentException("counts are at least 1, --step-time is 0 to 1,000,000 ms");
        }

        ServingDevice device = parsed.GetValue(StepCost) is { } path ? Measured(parsed, path) : Expected(parsed);
        EngineOptions options = new()
        {
            TokenBudget = parsed.GetValue(TokenBudget),
            MaxSequences = parsed.GetValue(MaxSequences),
            StepTimeTarget = TimeSpan.FromMilliseconds(parsed.GetValue(StepTime)),
        };
        Trace load = SimulatedLoadArguments.Read(parsed);
        Replica[] replicas = [.. Enumerable.Range(0, parsed.GetValue(Replicas)).Select(_ => new Replica(options, device.KvTokens, device.Cost))];
        return new SimulatedRun(
            new Cluster(replicas, parsed.GetValue(Route), parsed.GetValue(Concurrency)), load, replicas.Length * device.Count, device.KvTokens,
            PriceArguments.ReadOne(parsed, device.Hardware));
    }

    // What was measured is one device with one model: there is nothing to choose.
    private static ServingDevice Measured(ParseResult parsed, string path)
    {
        parsed.Refuse("with --step-cost, which has its own model and device", Model, WeightBits, KvBits, Gpu, Parallel, Compute, Bandwidth);
        var file = StepCostFile.Load(path);
        return new ServingDevice(new FittedStepCost(file.Seconds), file.KvTokens, 1, null);
    }

    private static ServingDevice Expected(ParseResult parsed)
    {
        ModelShape model = ModelShape.Named(parsed.GetRequiredValue(Model)) with { WeightBits = parsed.GetValue(WeightBits), KvBits = parsed.GetValue(KvBits) };
        DeviceGroup group = new(
            DataSheet.Named(parsed.GetRequiredValue(Gpu)), model, parsed.GetValue(Parallel), parsed.GetValue(Compute), parsed.GetValue(Bandwidth));
        group.Validate();
        return new ServingDevice(group, group.KvTokens, group.Count, group.Gpu.Name);
    }

    private static Option<int> Count(string name, string description, int value) => new(name) { Description = description, DefaultValueFactory = _ => value };

    /// <param name="Count">GPUs of a replica.</param>
    /// <param name="Hardware">Its name in price tables; null where unknown.</param>
    private readonly record struct ServingDevice(IStepCost Cost, int KvTokens, int Count, string? Hardware);
}
