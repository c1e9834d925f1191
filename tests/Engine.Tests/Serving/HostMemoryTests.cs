using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Tests.Support;

namespace LlamaServe.Engine.Tests.Serving;

/// <summary>The engine with a tier of the prefix cache in host memory, over a pool that is too small, when steps fail or the loop does.</summary>
[TestFixture(false)]
[TestFixture(true)]
public class HostMemoryTests(bool overlaps)
{
    private const int Blocks = 20;

    [Test]
    public async Task A_prompt_that_was_pushed_out_is_copied_back_and_not_computed_again()
    {
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, blocks: Blocks, hostBlocks: 60);
        GenerationRequest first = Request(0), second = Request(1);
        await harness.RunAsync(first);
        await harness.RunAsync(second);
        await harness.UntilAsync(s => s.RunningSequences == 0);
        EngineStatistics before = harness.Engine.GetStatistics();
        Generation again = harness.Submit(first);
        List<GeneratedToken> tokens = await EngineHarness.CollectAsync(again);
        await harness.UntilAsync(s => s.RunningSequences == 0);
        EngineStatistics after = harness.Engine.GetStatistics();
        Assert.Multiple(() =>
        {
            Assert.That(tokens.Ids(), Is.EqualTo(Expected(first)));
            Assert.That(again.Prompt!.CachedTokens, Is.EqualTo(48));
            Assert.That(after.PrefillTokens - before.PrefillTokens, Is.EqualTo(50 - 48));
            Assert.That(after.PrefixHostHitTokens - before.PrefixHostHitTokens, Is.EqualTo(4 * (after.BlocksSwappedIn - before.BlocksSwappedIn)).And.Positive);
            Assert.That(after.KvHostBlocks, Is.EqualTo(60));
            Assert.That(after.KvHostBlocksUsed, Is.EqualTo(after.BlocksSwappedOut).And.Positive);
        });
    }

    [Test]
    public async Task Steps_that_fail_before_or_after_their_swaps_spoil_nothing()
    {
        int submitted = 0, completed = 0;
        await using EngineHarness harness = await EngineHarness.StartAsync(
            overlaps,
            blocks: Blocks,
            hostBlocks: 30,
            beforeStep: plan => ThrowNowAndThen(++submitted % 7 == 0, plan),
            beforeResults: plan => ThrowNowAndThen(++completed % 5 == 0, plan));
        for (int round = 0; round < 3; round++)
        {
            GenerationRequest[] requests = [.. Enumerable.Range(0, 12).Select(i => Request(i % 5) with { Samples = 1 + i % 2, Priority = i % 3 })];
            List<GeneratedToken>[] outcomes = await Task.WhenAll(requests.Select(harness.RunAsync));
            for (int i = 0; i < requests.Length; i++)
            {
                Assert.That(outcomes[i].Ids(), Is.EqualTo(Expected(requests[i])), $"round {round}, request {i}");
            }
        }
        EngineStatistics statistics = harness.Engine.GetStatistics();
        Assert.That(statistics.Preemptions, Is.Positive);
        Assert.That(statistics.BlocksSwappedIn, Is.Positive);
        Assert.That(statistics.Restarts, Is.Zero);
    }

    [Test]
    public async Task A_loop_that_starts_again_starts_with_nothing_in_host_memory()
    {
        bool crashes = false;
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, blocks: Blocks, hostBlocks: 60, beforeText: () =>
        {
            if (crashes)
            {
                crashes = false;
                throw new InvalidOperationException("not the model's fault");
            }
        });
        await harness.RunAsync(Request(0));
        await harness.RunAsync(Request(1));
        await harness.UntilAsync(s => s is { RunningSequences: 0, KvHostBlocksUsed: > 0 });
        crashes = true;
        await harness.RunAsync(Request(2));
        await harness.UntilAsync(s => s is { Restarts: 1, State: EngineState.Ready, KvHostBlocksUsed: 0 });
        for (int i = 0; i < 3; i++)
        {
            long hits = harness.Engine.GetStatistics().PrefixHitTokens;
            Assert.That((await harness.RunAsync(Request(i))).Ids(), Is.EqualTo(Expected(Request(i))), $"request {i}");
            Assert.That(harness.Engine.GetStatistics().PrefixHitTokens, Is.EqualTo(hits), "a prefix of the former life was found");
        }
    }

    private static GenerationRequest Request(int seed) => EngineHarness.Request(prompt: 50, newTokens: 20, seed);

    private static int[] Expected(GenerationRequest request) => ScriptedModelRunner.Expected(request.PromptTokenIds.Span, request.MaxTokens!.Value);

    /// <summary>Never where a sequence is alone, or left alone by others that were preempted since: that would be its end.</summary>
    private static void ThrowNowAndThen(bool isNow, StepPlan plan)
    {
        if (isNow && plan.Slices.ToArray().Count(slice => slice.HasBlocks) > 1)
        {
            throw new InvalidOperationException("now and then");
        }
    }
}
