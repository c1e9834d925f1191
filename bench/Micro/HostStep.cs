using LlamaServe.Engine;
using LlamaServe.Engine.Requests;

namespace LlamaServe.Bench.Micro;

/// <summary>
/// What the engine's thread does for a decode step of 256 sequences on a GPU, driver calls left out: plan, build, commit, publish.
/// Behind a step on the device that takes longer it costs nothing. The goal is 100 µs.
/// </summary>
internal static class HostStep
{
    private const int Sequences = 256, PromptTokens = 128, NewTokens = 1024, WarmUps = 12, Runs = 5;

    /// <summary>Runs the engine until the JIT is done, some seconds, and then says the median and the 99th percentile of all steps.</summary>
    public static async Task<string> MeasureAsync()
    {
        List<double> steps = [];
        for (int run = -WarmUps; run < Runs; run++)
        {
            List<double> measured = await RunAsync();
            steps.AddRange(run >= 0 ? measured : []);
        }
        steps.Sort();
        return $"Host work of a decode step, {Sequences} sequences: median {steps[steps.Count / 2]:F1} µs, " +
            $"99 % within {steps[steps.Count * 99 / 100]:F1} µs, of {steps.Count} steps; driver calls not included.";
    }

    private static async Task<List<double>> RunAsync()
    {
        EngineOptions options = new()
        {
            TokenBudget = 4096,
            MaxSequences = Sequences,
            StepTimeTarget = TimeSpan.Zero,
            // Nobody reads before the end, so that readers take no time from the engine's thread.
            TokenBuffer = NewTokens,
        };
        HostStepRunner runner = new(options);
        await using LlamaEngine engine = new(() => runner, options);
        await engine.StartAsync();
        Generation[] generations = [.. Enumerable.Range(0, Sequences).Select(i => engine.Submit(Request(i)).Generation!)];
        foreach (Generation generation in generations)
        {
            await generation.Tokens.ReadAllAsync().CountAsync();
        }
        return runner.Microseconds;
    }

    private static GenerationRequest Request(int index) => new()
    {
        PromptTokenIds = Enumerable.Range(0, PromptTokens).Select(i => (index * 131 + i * 17) % 32_000).ToArray(),
        MaxTokens = NewTokens,
        IgnoreEos = true,
        ReturnText = false,
        Sampling = SamplingParameters.Greedy,
    };
}
