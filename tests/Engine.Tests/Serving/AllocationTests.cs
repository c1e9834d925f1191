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

    /// <summary>Texts of a second round push those of the first out of a pool that has room for one round, into a tier that is full as well.</summary>
    [TestCase(false)]
    [TestCase(true)]
    public async Task Steps_that_move_blocks_to_host_memory_allocate_nothing(bool overlaps)
    {
        const int Requests = 16;
        int step = 0;
        long swapped = 0, before = 0, after = 0;
        LlamaEngine? engine = null;
        List<Generation> generations = [];
        Func<bool> allRead = () => generations.Count == Requests && generations.TrueForAll(static g => g.Tokens.Count == 0);
        var runner = new NullModelRunner(() =>
        {
            SpinWait.SpinUntil(allRead);
            if (++step is 150 or 400)
            {
                (before, after) = (after, GC.GetAllocatedBytesForCurrentThread());
                swapped = engine!.GetStatistics().BlocksSwappedOut - swapped;
            }
        }, overlaps, blocks: 600, hostBlocks: 200);
        await using (engine = new LlamaEngine(() => runner, EngineHarness.Small with { TokenBuffer = 600, BlockSize = 16, MaxSequences = Requests }))
        {
            await engine.StartAsync();
            for (int round = 0; round < 2; round++)
            {
                generations = [];
                step = 0;
                generations = [.. Enumerable.Range(0, Requests).Select(i => engine.Submit(new GenerationRequest
                {
                    PromptTokenIds = new[] { 1 + round, 2 + i, 3 },
                    MaxTokens = 500,
                    ReturnText = false,
                }).Generation!)];
                await Task.WhenAll(generations.Select(EngineHarness.CollectAsync));
            }
        }
        Assert.That(swapped, Is.GreaterThan(200));
        Assert.That(after - before, Is.Zero);
    }
}
