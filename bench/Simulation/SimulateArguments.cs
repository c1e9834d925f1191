using System.CommandLine;
using LlamaServe.Bench.Cost;
using LlamaServe.Bench.Load;
using LlamaServe.Engine;

namespace LlamaServe.Bench.Simulation;

/// <summary>The options of <c>simulate</c>.</summary>
internal static class SimulateArguments
{
    private static readonly Option<string> Model = new("--model") { DefaultValueFactory = _ => "llama-3-70b", Description = string.Join(", ", ModelShape.Known.Select(known => known.Name)) };
    private static readonly Option<double> WeightBits = new("--weight-bits") { DefaultValueFactory = _ => 8, Description = "Of a weight: 4, 8 or 16." };
    private static readonly Option<double> KvBits = new("--kv-bits") { DefaultValueFactory = _ => 8, Description = "Of an element of keys and values." };
    private static readonly Option<string> Gpu = new("--gpu") { DefaultValueFactory = _ => "H100", Description = string.Join(", ", DataSheet.Known.Select(known => known.Name)) };
    private static readonly Option<string?> StepCost = new("--step-cost") { Description = "A file that simulate check has written: measured steps instead of a data sheet." };
    private static readonly Option<int> Parallel = Count("--tensor-parallel", "GPUs of a replica.", 2);
    private static readonly Option<int> Replicas = Count("--replicas", "Replicas behind the router.", 4);
    private static readonly Option<Routing> Route = new("--routing") { DefaultValueFactory = _ => Routing.LeastLoaded };
    private static readonly Option<bool> Agents = new("--agents") { Description = "Conversations of several turns over a common system prompt, not single requests." };
    private static readonly Option<string> Input = new("--input") { DefaultValueFactory = _ => "1000", Description = "Prompt (agents: what a turn adds) in tokens, as in serve." };
    private static readonly Option<string> Output = new("--output") { DefaultValueFactory = _ => "1000", Description = "Answer in tokens, as in serve." };
    private static readonly Option<double> SharedPrefix = new("--shared-prefix") { Description = "Part of each prompt that all share, 0 to 1." };
    private static readonly Option<int> SystemTokens = Count("--system", "Tokens of the agents' common system prompt.", 4096);
    private static readonly Option<int> Turns = Count("--turns", "Turns of an agent.", 8);
    private static readonly Option<int> Conversations = Count("--count", "Conversations.", 10_000);
    private static readonly Option<double?> Rate = new("--rate") { Description = "Conversations a second, a Poisson process; by default all come at once." };
    private static readonly Option<int> Concurrency = Count("--max-concurrency", "Conversations under way at most.", int.MaxValue);
    private static readonly Option<int> Seed = new("--seed") { Description = "Of lengths, arrivals and ids." };
    private static readonly Option<int> MaxSequences = Count("--max-sequences", "Running at a time on a replica.", 256);
    private static readonly Option<int> TokenBudget = Count("--token-budget", "Tokens of a step at most.", 8192);
    private static readonly Option<double> StepTime = new("--step-time") { Description = "Milliseconds that prompts may stretch a step to while others decode; by default any." };
    private static readonly Option<double> Compute = new("--compute-efficiency") { DefaultValueFactory = _ => 0.7, Description = "Part of the data sheet's operations that products reach: an assumption." };
    private static readonly Option<double> Bandwidth = new("--bandwidth-efficiency") { DefaultValueFactory = _ => 0.85, Description = "Part of its bandwidth that reads reach: an assumption." };

    public static IReadOnlyList<Option> All { get; } =
    [
        Model, WeightBits, KvBits, Gpu, StepCost, Parallel, Replicas, Route, Agents, Input, Output, SharedPrefix, SystemTokens, Turns, Conversations, Rate,
        Concurrency, Seed, MaxSequences, TokenBudget, StepTime, Compute, Bandwidth, .. PriceArguments.OfOneDevice,
    ];

    /// <exception cref="ArgumentException">A value is out of range, or the model does not fit the devices.</exception>
    public static SimulatedRun Read(ParseResult parsed)
    {
        int[] counts = [.. new[] { Parallel, Replicas, SystemTokens, Turns, Conversations, Concurrency, MaxSequences, TokenBudget }.Select(parsed.GetValue)];
        if (counts.Min() < 1 || parsed.GetValue(Rate) <= 0 || parsed.GetValue(SharedPrefix) is not (>= 0 and <= 1))
        {
            throw new ArgumentException("counts are at least 1, --rate is above 0, --shared-prefix 0 to 1");
        }

        (IStepCost cost, int kvTokens, string? hardware) = parsed.GetValue(StepCost) is { } path ? Measured(path) : Expected(parsed);
        EngineOptions options = new()
        {
            TokenBudget = parsed.GetValue(TokenBudget),
            MaxSequences = parsed.GetValue(MaxSequences),
            StepTimeTarget = TimeSpan.FromMilliseconds(parsed.GetValue(StepTime)),
        };
        Replica[] replicas = [.. Enumerable.Range(0, parsed.GetValue(Replicas)).Select(_ => new Replica(options, kvTokens, cost))];
        return new SimulatedRun(
            new Cluster(replicas, parsed.GetValue(Route), parsed.GetValue(Concurrency)), Make(parsed), parsed.GetValue(Conversations),
            parsed.GetValue(Rate) ?? double.PositiveInfinity, parsed.GetValue(Seed), replicas.Length * parsed.GetValue(Parallel), kvTokens,
            PriceArguments.ReadOne(parsed, hardware));
    }

    private static (IStepCost Cost, int KvTokens, string? Hardware) Measured(string path)
    {
        StepCostFile file = StepCostFile.Load(path);
        return (new FittedStepCost(file.Seconds), file.KvTokens, null);
    }

    private static (IStepCost Cost, int KvTokens, string? Hardware) Expected(ParseResult parsed)
    {
        ModelShape model = ModelShape.Named(parsed.GetRequiredValue(Model)) with { WeightBits = parsed.GetValue(WeightBits), KvBits = parsed.GetValue(KvBits) };
        DeviceGroup group = new(
            DataSheet.Named(parsed.GetRequiredValue(Gpu)), model, parsed.GetValue(Parallel), parsed.GetValue(Compute), parsed.GetValue(Bandwidth));
        return (group, group.KvTokens, group.Gpu.Name);
    }

    private static Func<int, TokenSource, Random, IEnumerable<Conversation>> Make(ParseResult parsed)
    {
        LengthDistribution input = LengthDistribution.Parse(parsed.GetRequiredValue(Input)), output = LengthDistribution.Parse(parsed.GetRequiredValue(Output));
        return parsed.GetValue(Agents)
            ? new AgentWorkload(parsed.GetValue(SystemTokens), parsed.GetValue(Turns), input, output).Make
            : new SyntheticWorkload(input, output, parsed.GetValue(SharedPrefix)).Make;
    }

    private static Option<int> Count(string name, string description, int value) => new(name) { Description = description, DefaultValueFactory = _ => value };
}
