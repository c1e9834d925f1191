using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Tests.Support;

namespace LlamaServe.Engine.Tests.Serving;

public class AllocationTests
{
    /// <summary>
    /// The loop thread itself is measured, from one step to a later one, all of the loop's work between them included. Readers
    /// keep up, as they do where a step takes milliseconds; buffers of those who do not may grow, up to their bound.
    /// </summary>
    [TestCase(1, false, null, false)]
    [TestCase(1, false, null, true)]
    [TestCase(4, false, null, false)]
    [TestCase(1, true, null, false)]
    [TestCase(1, true, "six", false)]
    [TestCase(1, true, "six", true)]
    public async Task Steady_decode_steps_allocate_nothing_on_the_loop_thread(int samples, bool text, string? stop, bool overlaps)
    {
        const int From = 100;
        const int To = 400;
        int step = 0;
        long before = 0;
        long after = 0;
        EngineOptions options = EngineHarness.Small with { MaxSequences = 64, TokenBudget = 128, TokenBuffer = 600, BlockSize = 16 };
        int requests = 32 / samples;
        List<Generation> generations = [];
        Func<bool> allRead = () => generations.Count == requests && generations.TrueForAll(static g => g.Tokens.Count == 0);
        var runner = new NullModelRunner(() =>
        {
            step++;
            SpinWait.SpinUntil(allRead);
            before = step == From ? GC.GetAllocatedBytesForCurrentThread() : before;
            after = step == To ? GC.GetAllocatedBytesForCurrentThread() : after;
        }, overlaps);
        await using var engine = new LlamaEngine(() => runner, options);
        await engine.StartAsync();
        generations = [.. Enumerable.Range(0, requests).Select(_ => engine.Submit(new GenerationRequest
        {
            PromptTokenIds = new[] { 1, 2, 3 },
            MaxTokens = 500,
            Samples = samples,
            ReturnText = text,
            StopStrings = stop is null ? [] : [stop],
        }).Generation!)];
        List<GeneratedToken>[] results = await Task.WhenAll(generations.Select(EngineHarness.CollectAsync));
        Assert.That(results.Sum(r => r.Count), Is.EqualTo(32 * 500));
        Assert.That(after - before, Is.Zero);
    }
}
