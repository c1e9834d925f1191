using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Scheduling;

namespace LlamaServe.Engine.Tests.Support;

/// <summary>A whole engine on <see cref="ScriptedModelRunner"/>s, its block accounting checked at each step.</summary>
internal sealed class EngineHarness : IAsyncDisposable
{
    public static readonly EngineOptions Small = new()
    {
        TokenBudget = 32,
        MaxSequences = 8,
        BlockSize = 4,
        MinPrefillTokens = 4,
        PromptLogProbRows = 5,
        StepTimeTarget = TimeSpan.Zero,
    };

    private EngineHarness(LlamaEngine engine)
    {
        Engine = engine;
    }

    public LlamaEngine Engine { get; }

    public List<ScriptedModelRunner> Runners { get; } = [];

    /// <param name="overlaps">Whether a step is started before the one ahead of it is done.</param>
    public static async Task<EngineHarness> StartAsync(
        bool overlaps = false,
        EngineOptions? options = null,
        TimeProvider? time = null,
        int blocks = 64,
        int context = 256,
        int[]? endIds = null,
        Action<StepPlan>? beforeStep = null,
        Func<Sequence, bool>? isNaN = null,
        Action<StepPlan>? beforeResults = null,
        Action? beforeText = null,
        Action? beforeDispose = null,
        int hostBlocks = 0)
    {
        options ??= Small;
        EngineHarness? harness = null;
        var engine = new LlamaEngine(
            () =>
            {
                var runner = new ScriptedModelRunner(options, 1000, context, blocks, endIds, hostBlocks)
                {
                    BeforeStep = beforeStep,
                    BeforeResults = beforeResults,
                    BeforeText = beforeText,
                    BeforeDispose = beforeDispose,
                    Overlaps = overlaps,
                    IsNaN = isNaN ?? (_ => false),
                };
                harness!.Runners.Add(runner);
                return runner;
            },
            options,
            time,
            checksEachStep: true);
        harness = new EngineHarness(engine);
        await engine.StartAsync();
        return harness;
    }

    public static GenerationRequest Request(int prompt = 10, int newTokens = 10, int seed = 1, ulong sampling = 0) => new()
    {
        PromptTokenIds = Prompt(prompt, seed),
        MaxTokens = newTokens,
        Sampling = new SamplingParameters { Seed = sampling },
    };

    public static int[] Prompt(int length, int seed = 1) => [.. Enumerable.Range(0, length).Select(i => (seed * 37 + i * 3) % 1000)];

    public Generation Submit(GenerationRequest request, CancellationToken cancellationToken = default)
    {
        Admission admission = Engine.Submit(request, cancellationToken);
        Assert.That(admission.Rejection, Is.Null);
        return admission.Generation!;
    }

    public static async Task<List<GeneratedToken>> CollectAsync(Generation generation)
    {
        var tokens = new List<GeneratedToken>();
        await foreach (GeneratedToken token in generation.Tokens.ReadAllAsync())
        {
            tokens.Add(token);
        }
        return tokens;
    }

    public Task<List<GeneratedToken>> RunAsync(GenerationRequest request) => CollectAsync(Submit(request));

    /// <summary>Waits until the loop has come to <paramref name="condition"/>.</summary>
    public async Task UntilAsync(Func<EngineStatistics, bool> condition)
    {
        for (int i = 0; !condition(Engine.GetStatistics()); i++)
        {
            Assert.That(i, Is.LessThan(24_000), $"never happened; last seen {Engine.GetStatistics()}");
            await Task.Delay(5);
        }
    }

    /// <summary>Stops; by then no block may be in use.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Engine.State == EngineState.Ready && Engine.GetStatistics().RequestsInFlight == 0)
        {
            await UntilAsync(s => s.KvBlocksUsed == 0);
        }
        await Engine.DisposeAsync();
    }
}

internal static class Tokens
{
    public static int[] Ids(this IEnumerable<GeneratedToken> tokens, int sample = 0) =>
        [.. tokens.Where(t => t.Sample == sample && t.TokenId >= 0).Select(t => t.TokenId)];

    public static string Text(this IEnumerable<GeneratedToken> tokens, int sample = 0) =>
        string.Concat(tokens.Where(t => t.Sample == sample).Select(t => t.Text));

    public static SampleFinish Finish(this IEnumerable<GeneratedToken> tokens, int sample = 0) =>
        tokens.Single(t => t.Sample == sample && t.Finish is not null).Finish!;
}
