using LlamaServe.Bench.Simulation;
using LlamaServe.Engine;
using LlamaServe.Testing;

namespace LlamaServe.Bench.Tests.Simulation;

internal sealed class TraceFileTests
{
    private const string Mooncake = """
        {"timestamp": 3000, "input_length": 1300, "output_length": 5, "hash_ids": [7, 8, 10]}
        {"timestamp": 1000, "input_length": 1100, "output_length": 52, "hash_ids": [7, 8, 9], "chat_id": 3}

        {"timestamp": 61000.5, "input_length": 40, "output_length": 2}
        """;

    private readonly TemporaryFolder _folder = new();

    [OneTimeTearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public void Requests_come_in_the_order_of_their_times_in_seconds()
    {
        Trace trace = Read(Mooncake);

        Assert.That(trace.Arrivals, Is.EqualTo(new[] { 0, 2, 60.0005 }).Within(1e-12));
        Assert.That(Lengths(trace), Is.EqualTo(new[] { (1100, 52), (1300, 5), (40, 2) }));
        Assert.That(Read(Mooncake, unit: 0.5e-3).Arrivals[^1], Is.EqualTo(30.00025).Within(1e-12), "half the unit is twice the rate");
        Assert.That(Lengths(Read(Mooncake, most: 1)), Is.EqualTo(new[] { (1100, 52) }));
    }

    [Test]
    public void Blocks_with_the_same_id_have_the_same_tokens_and_no_others_do()
    {
        int[][] prompts = [.. Read(Mooncake).Conversations.Select(conversation => conversation.Turns[0].Input)];

        Assert.That(prompts[1][..1024], Is.EqualTo(prompts[0][..1024]));
        Assert.That(prompts[1][1024..1040], Is.Not.EqualTo(prompts[0][1024..1040]));
        Assert.That(prompts[0][..40], Is.Not.EqualTo(prompts[2]));
        int[] first = Unnamed(1), again = Unnamed(1);
        Assert.That(first, Is.EqualTo(again).And.Not.EqualTo(Unnamed(2)));

        int[] Unnamed(int seed) => new TraceFile(Write(Mooncake), 1e-3, 512).Read(most: 3, seed).Conversations.ElementAt(2).Turns[0].Input;
    }

    [Test]
    public void The_prefix_cache_finds_what_a_trace_says_is_shared()
    {
        Trace trace = Read(Mooncake);
        Replica replica = new(new EngineOptions { StepTimeTarget = TimeSpan.Zero }, 1 << 16, new FittedStepCost([1e-3, 0, 0, 0, 0]));
        SimulationResult result = new Cluster([replica], Routing.LeastLoaded).Run(trace.Conversations, trace.Arrivals);

        Assert.That((result.Requests, result.InputTokens, result.OutputTokens, result.CachedTokens), Is.EqualTo((3, 2440L, 59L, 1024L)));
        Assert.That(result.Seconds, Is.EqualTo(60.0005 + 2e-3).Within(1e-9), "the last one takes two steps");
    }

    [TestCase("""{"timestamp": 1, "output_length": 5}""", "input_length")]
    [TestCase("""{"timestamp": 1, "input_length": 0, "output_length": 5}""", "at least 1")]
    [TestCase("""{"timestamp": 1, "input_length": 1024, "output_length": 5, "hash_ids": [1, 2, 3]}""", "--trace-block")]
    [TestCase("1,2,3", "line 5")]
    [TestCase("null", "line 5")]
    public void A_line_that_is_no_request_is_named(string line, string part) =>
        Assert.That(() => Read($"{Mooncake}\n{line}"), Throws.ArgumentException.With.Message.Contains("line 5").And.Message.Contains(part));

    [Test]
    public void An_empty_trace_is_refused() =>
        Assert.That(() => Read("\n"), Throws.ArgumentException.With.Message.Contains("no requests"));

    private static (int, int)[] Lengths(Trace trace) =>
        [.. trace.Conversations.Select(conversation => conversation.Turns[0]).Select(turn => (turn.Input.Length, turn.OutputTokens))];

    private Trace Read(string content, double unit = 1e-3, int most = int.MaxValue) => new TraceFile(Write(content), unit, 512).Read(most, seed: 0);

    private string Write(string content)
    {
        string path = Path.Combine(_folder.Path, "trace.jsonl");
        File.WriteAllText(path, content);
        return path;
    }
}
