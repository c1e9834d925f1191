using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Tests.Support;

namespace LlamaServe.Engine.Tests.Serving;

/// <summary>A device whose steps take a known time shows whether decoding streams keep their pace while others prefill.</summary>
public class InterTokenLatencyTests
{
    private const double TargetSeconds = 0.050;

    /// <summary>The step that waits for the long prompts, so that they meet the stream while it decodes.</summary>
    private const int DecodingStep = 50;

    [TestCase(0.1e-3)]
    [TestCase(0.5e-3)]
    public async Task Decoding_streams_keep_to_the_time_target_while_long_prompts_are_computed(double secondsPerToken)
    {
        var time = new ManualTime();
        var mixed = new List<double>();
        int steps = 0;
        using var submitted = new ManualResetEventSlim();
        EngineOptions options = new() { TokenBudget = 512, MaxSequences = 16, StepTimeTarget = TimeSpan.FromSeconds(TargetSeconds) };
        await using EngineHarness harness = await EngineHarness.StartAsync(false, options, time, blocks: 4000, context: 4000, beforeStep: plan =>
        {
            if (Interlocked.Increment(ref steps) == DecodingStep)
            {
                submitted.Wait(TimeSpan.FromMinutes(5));
            }
            double seconds = 4e-3 + plan.TokenCount * secondsPerToken + plan.AttendedTokens * 20e-9;
            time.Advance(TimeSpan.FromSeconds(seconds));
            int decoding = 0;
            foreach (StepSlice slice in plan.Slices)
            {
                decoding += slice.Count == 1 ? 1 : 0;
            }
            if (decoding > 0 && decoding < plan.Count)
            {
                mixed.Add(seconds);
            }
        });
        Task<List<GeneratedToken>> decoder = harness.RunAsync(EngineHarness.Request(prompt: 10, newTokens: 600));
        await harness.UntilAsync(_ => Volatile.Read(ref steps) == DecodingStep);
        Task[] prefills = [.. Enumerable.Range(0, 6).Select(i => harness.RunAsync(EngineHarness.Request(prompt: 1500, newTokens: 2, seed: i + 2)))];
        submitted.Set();
        await Task.WhenAll(prefills);
        await decoder;

        Assert.That(mixed, Has.Count.GreaterThan(20));
        double[] settled = [.. mixed.Skip(5)];
        Assert.That(settled.Average(), Is.EqualTo(TargetSeconds).Within(25).Percent, "the time is used");
        Assert.That(settled.Count(s => s > 1.3 * TargetSeconds), Is.LessThanOrEqualTo(settled.Length / 20));
    }
}
