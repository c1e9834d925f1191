using System.CommandLine;
using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Simulation;

/// <summary>The options of <c>simulate</c> that say what arrives when.</summary>
internal static class SimulatedLoadArguments
{
    /// <summary>Mooncake's timestamps are milliseconds, its blocks of 512 tokens.</summary>
    private const double Millisecond = 1e-3;

    private static readonly Option<string?> FromTrace = new("--trace") { Description = "File of requests, one JSON object a line: timestamp, input_length, output_length, and hash_ids where prompts share beginnings." };
    private static readonly Option<double> TraceUnit = ServeArguments.Number("--trace-unit", "Seconds of a timestamp's unit; less replays faster.", Millisecond);
    private static readonly Option<int> TraceBlock = Count("--trace-block", "Tokens for which one of hash_ids stands.", 512);
    private static readonly Option<string?> ShareGpt = new("--sharegpt") { Description = "File in ShareGPT's format: its first prompts, and the lengths of their answers." };
    private static readonly Option<string?> Tokenizer = new("--tokenizer") { Description = "Snapshot folder or GGUF file whose tokenizer counts ShareGPT's tokens." };
    private static readonly Option<bool> Agents = new("--agents") { Description = "Conversations of several turns over a common system prompt, not single requests." };
    private static readonly Option<string> Input = new("--input") { DefaultValueFactory = _ => "1000", Description = "Prompt (agents: what a turn adds) in tokens, as in serve." };
    private static readonly Option<string> Output = new("--output") { DefaultValueFactory = _ => "1000", Description = "Answer in tokens, as in serve." };
    private static readonly Option<double> SharedPrefix = ServeArguments.Number("--shared-prefix", "Part of each prompt that all share, 0 to 1.", 0);
    private static readonly Option<int> SystemTokens = Count("--system", "Tokens of the agents' common system prompt.", 4096);
    private static readonly Option<int> Turns = Count("--turns", "Turns of an agent.", 8);
    private static readonly Option<int> Conversations = Count("--count", "Conversations; of a trace by default all.", 10_000);
    private static readonly Option<double> Rate = ServeArguments.Number("--rate", "Conversations a second; by default all come at once.", double.PositiveInfinity);
    private static readonly Option<double> Burstiness = ServeArguments.Number("--burstiness", "1: Poisson; less: bursts; inf: a fixed rate.", 1);
    private static readonly Option<int> Seed = new("--seed") { Description = "Of lengths, arrivals and ids." };

    public static IReadOnlyList<Option> All { get; } =
    [
        FromTrace, TraceUnit, TraceBlock, ShareGpt, Tokenizer, Agents, Input, Output, SharedPrefix, SystemTokens, Turns, Conversations, Rate, Burstiness, Seed,
    ];

    /// <exception cref="ArgumentException">A value is out of range, options contradict each other, or a file cannot be read as what it is said to be.</exception>
    public static Trace Read(ParseResult parsed)
    {
        Check(parsed);
        RefuseUnused(parsed);
        if (parsed.GetValue(FromTrace) is { } path)
        {
            int most = parsed.IsGiven(Conversations) ? parsed.GetValue(Conversations) : int.MaxValue;
            return new TraceFile(path, parsed.GetValue(TraceUnit), parsed.GetValue(TraceBlock)).Read(most, parsed.GetValue(Seed));
        }

        int count = parsed.GetValue(Conversations), seed = parsed.GetValue(Seed);
        Random random = new(seed);
        double[] arrivals = ArrivalTimes.Draw(count, parsed.GetValue(Rate), parsed.GetValue(Burstiness), random);
        return new Trace(Make(parsed, count, new TokenSource(0, TracedRequest.Vocabulary, seed), random), arrivals);
    }

    private static void Check(ParseResult parsed)
    {
        int[] counts = [.. new[] { TraceBlock, SystemTokens, Turns, Conversations }.Select(parsed.GetValue)];
        string? fault = parsed switch
        {
            _ when counts.Min() < 1 => "--trace-block, --system, --turns and --count are at least 1",
            _ when parsed.GetValue(Rate) is not > 0 || parsed.GetValue(Burstiness) is not > 0 => "--rate and --burstiness are above 0",
            _ when parsed.GetValue(TraceUnit) is not (> 0 and < double.PositiveInfinity) => "--trace-unit is above 0",
            _ when parsed.GetValue(SharedPrefix) is not (>= 0 and <= 1) => "--shared-prefix is 0 to 1",
            _ when parsed.GetValue(ShareGpt) is not null && parsed.GetValue(Tokenizer) is null => "--sharegpt needs --tokenizer",
            _ => null,
        };
        if (fault is not null)
        {
            throw new ArgumentException(fault);
        }
    }

    private static void RefuseUnused(ParseResult parsed)
    {
        if (parsed.IsGiven(FromTrace))
        {
            parsed.Refuse("with --trace", ShareGpt, Agents, Input, Output, SharedPrefix, Rate, Burstiness);
        }
        else
        {
            parsed.Refuse("without --trace", TraceUnit, TraceBlock);
        }

        if (parsed.IsGiven(ShareGpt))
        {
            parsed.Refuse("with --sharegpt", Agents, Input, Output, SharedPrefix);
        }
        else
        {
            parsed.Refuse("without --sharegpt", Tokenizer);
        }

        if (parsed.GetValue(Agents))
        {
            parsed.Refuse("with --agents", SharedPrefix);
        }
        else
        {
            parsed.Refuse("without --agents", SystemTokens, Turns);
        }

        if (double.IsPositiveInfinity(parsed.GetValue(Rate)))
        {
            parsed.Refuse("without --rate", Burstiness);
        }
    }

    private static IEnumerable<Conversation> Make(ParseResult parsed, int count, TokenSource ids, Random random)
    {
        if (parsed.GetValue(ShareGpt) is { } path)
        {
            return ShareGptWorkload.Read(path, count, ServeRun.LoadTokenizer(parsed.GetRequiredValue(Tokenizer)!), random);
        }

        LengthDistribution input = LengthDistribution.Parse(parsed.GetRequiredValue(Input)), output = LengthDistribution.Parse(parsed.GetRequiredValue(Output));
        return parsed.GetValue(Agents)
            ? new AgentWorkload(parsed.GetValue(SystemTokens), parsed.GetValue(Turns), input, output).Make(count, ids, random)
            : new SyntheticWorkload(input, output, parsed.GetValue(SharedPrefix)).Make(count, ids, random);
    }

    private static Option<int> Count(string name, string description, int value) => new(name) { Description = description, DefaultValueFactory = _ => value };
}
