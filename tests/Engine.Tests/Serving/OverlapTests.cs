using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Tests.Support;
using LlamaServe.Kernels;

namespace LlamaServe.Engine.Tests.Serving;

/// <summary>What can go wrong while a second step is under way on the tokens of the first.</summary>
public class OverlapTests
{
    private const int Poison = 666;

    [Test]
    public async Task A_step_that_fails_under_another_one_is_computed_again_with_it_and_nothing_is_lost_or_counted_twice()
    {
        int submitted = 0, completed = 0, underWay = 0, failedUnderAnother = 0;
        await using EngineHarness harness = await EngineHarness.StartAsync(
            overlaps: true,
            blocks: 40,
            beforeStep: plan =>
            {
                ThrowNowAndThen(++submitted % 7 == 0, plan);
                underWay++;
            },
            beforeResults: plan =>
            {
                underWay--;
                failedUnderAnother += ++completed % 5 == 0 && plan.Count > 1 ? underWay : 0;
                ThrowNowAndThen(completed % 5 == 0, plan);
            });
        var requests = Enumerable.Range(0, 20).Select(i => EngineHarness.Request(5 + i * 7 % 60, 5 + i * 11 % 40, i % 5, (ulong)i) with
        {
            Samples = i % 6 == 0 ? 2 : 1,
            PromptLogProbs = i % 4 == 0 ? 1 : null,
        }).ToList();
        List<Generation> generations = [.. requests.Select(request => harness.Submit(request))];
        List<GeneratedToken>[] outcomes = await Task.WhenAll(generations.Select(EngineHarness.CollectAsync));
        for (int i = 0; i < requests.Count; i++)
        {
            AssertComplete(requests[i], generations[i], outcomes[i]);
        }
        Assert.That(failedUnderAnother, Is.GreaterThan(5));
        EngineStatistics statistics = harness.Engine.GetStatistics();
        Assert.That(statistics.Preemptions, Is.Positive);
        Assert.That(statistics.GeneratedTokens, Is.EqualTo(requests.Sum(r => r.Samples * r.MaxTokens!.Value)));
        await harness.UntilAsync(s => s is { KvBlocksUsed: 0, RunningSequences: 0, RequestsInFlight: 0, Restarts: 0 });
    }

    /// <summary>The step ahead is tried again on block tables of the later plan, whose copies were not made yet.</summary>
    [Test]
    public async Task A_step_that_fails_when_the_next_one_could_not_be_started_is_computed_again_after_the_copies_of_both()
    {
        bool hasFailed = false, failsNext = false;
        using var gate = new StepGate();
        await using EngineHarness harness = await EngineHarness.StartAsync(
            overlaps: true,
            beforeStep: plan =>
            {
                gate.Pass(plan);
                if (plan.Copies.Count > 0 && !hasFailed)
                {
                    hasFailed = failsNext = true;
                    throw new InvalidOperationException("not started");
                }
            },
            beforeResults: _ =>
            {
                if (failsNext)
                {
                    failsNext = false;
                    throw new InvalidOperationException("no results");
                }
            });
        GenerationRequest company = EngineHarness.Request(seed: 2, newTokens: 120);
        Task<List<GeneratedToken>> beside = harness.RunAsync(company);
        GenerationRequest request = EngineHarness.Request(newTokens: 12) with { Samples = 3 };
        Generation generation = harness.Submit(request);
        gate.Open();
        AssertComplete(request, generation, await EngineHarness.CollectAsync(generation));
        Assert.That((await beside).Ids(), Is.EqualTo(ScriptedModelRunner.Expected(company.PromptTokenIds.Span, 120)));
        Assert.That((hasFailed, failsNext), Is.EqualTo((true, false)));
    }

    [Test]
    public async Task A_request_whose_results_cannot_be_had_fails_alone()
    {
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps: true, beforeResults: plan =>
        {
            foreach (StepSlice slice in plan.Slices)
            {
                if (slice.Sequence.Tokens.Contains(Poison))
                {
                    throw new InvalidOperationException("secret detail");
                }
            }
        });
        var requests = Enumerable.Range(0, 7).Select(i => EngineHarness.Request(newTokens: 20, seed: i)).ToList();
        Task<List<GeneratedToken>[]> running = Task.WhenAll(requests.Select(harness.RunAsync));
        await harness.UntilAsync(s => s.GeneratedTokens > 0);
        Generation poisoned = harness.Submit(EngineHarness.Request() with { PromptTokenIds = new[] { 1, Poison, 3 }, Samples = 2 });
        List<GeneratedToken> failed = await EngineHarness.CollectAsync(poisoned);
        Assert.That(new[] { failed.Finish(0).Reason, failed.Finish(1).Reason }, Is.All.EqualTo(FinishReason.Error));
        Assert.That(failed.Ids(), Is.Empty);
        Assert.That(poisoned.Summary!.Error, Does.Not.Contain("secret"));
        List<GeneratedToken>[] outcomes = await running;
        for (int i = 0; i < requests.Count; i++)
        {
            Assert.That(outcomes[i].Ids(), Is.EqualTo(ScriptedModelRunner.Expected(requests[i].PromptTokenIds.Span, 20)), $"request {i}");
        }
        Assert.That(harness.Engine.GetStatistics().GeneratedTokens, Is.EqualTo(7 * 20));
    }

    [TestCase(false)]
    [TestCase(true)]
    public async Task An_end_is_seen_a_step_late_and_the_surplus_token_goes_nowhere(bool byText)
    {
        GenerationRequest request = EngineHarness.Request(prompt: 13);
        int[] expected = ScriptedModelRunner.Expected(request.PromptTokenIds.Span, 10);
        int end = Array.FindIndex(expected, 2, id => Array.FindIndex(expected, other => Letter(other) == Letter(id)) >= 2);
        int tokens = 0;
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps: true, beforeStep: plan => tokens += plan.TokenCount);
        Generation generation = harness.Submit(byText
            ? request with { StopStrings = [Letter(expected[end])] }
            : request with { StopTokenIds = [expected[end]] });
        List<GeneratedToken> ended = await EngineHarness.CollectAsync(generation);
        await harness.UntilAsync(s => s is { KvBlocksUsed: 0, RunningSequences: 0 } && s.Steps == end + 2);
        Assert.Multiple(() =>
        {
            Assert.That(ended.Ids(), Is.EqualTo(expected[..(end + 1)]));
            Assert.That(ended.Finish().Reason, Is.EqualTo(FinishReason.Stop));
            Assert.That(generation.Summary!.CompletionTokens, Is.EqualTo(end + 1));
            Assert.That(harness.Engine.GetStatistics().GeneratedTokens, Is.EqualTo(end + 1));
            Assert.That(tokens, Is.EqualTo(13 + end + 1), "the token after the end was computed");
        });
        Assert.That((await harness.RunAsync(request)).Ids(), Is.EqualTo(expected), "what the surplus step wrote is nobody's prefix");
    }

    [Test]
    public async Task The_last_token_of_a_maximum_is_followed_by_no_step()
    {
        int tokens = 0;
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps: true, beforeStep: plan => tokens += plan.TokenCount);
        Assert.That((await harness.RunAsync(EngineHarness.Request(prompt: 13, newTokens: 6))).Ids(), Has.Length.EqualTo(6));
        Assert.That(tokens, Is.EqualTo(13 + 5));
    }

    [Test]
    public async Task A_device_lost_under_two_steps_ends_the_requests_of_both()
    {
        int results = 0;
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps: true, beforeResults: _ =>
        {
            if (++results == 6)
            {
                throw new LostDevice();
            }
        });
        var requests = Enumerable.Range(0, 4).Select(i => EngineHarness.Request(seed: i, prompt: 3, newTokens: 20, sampling: (ulong)i)).ToList();
        List<Generation> generations = [.. requests.Select(request => harness.Submit(request))];
        for (int i = 0; i < requests.Count; i++)
        {
            List<GeneratedToken> tokens = await EngineHarness.CollectAsync(generations[i]);
            Assert.That(tokens.Ids(), Is.EqualTo(ScriptedModelRunner.Expected(requests[i].PromptTokenIds.Span, 20, (ulong)i)[..tokens.Ids().Length]), $"request {i}");
            Assert.That(tokens.Finish().Reason, Is.EqualTo(FinishReason.Error));
        }
        await harness.UntilAsync(s => s.State == EngineState.Failed);
    }

    private static string Letter(int token) => ScriptedModelRunner.Letter(token).ToString();

    /// <summary>Never where a sequence is alone, since that would be its end.</summary>
    private static void ThrowNowAndThen(bool isNow, StepPlan plan)
    {
        if (isNow && plan.Count > 1)
        {
            throw new InvalidOperationException("now and then");
        }
    }

    private static void AssertComplete(GenerationRequest request, Generation generation, List<GeneratedToken> tokens)
    {
        ReadOnlySpan<int> prompt = request.PromptTokenIds.Span;
        for (int sample = 0; sample < request.Samples; sample++)
        {
            ulong seed = request.Sampling.Seed!.Value + (ulong)sample;
            Assert.That(tokens.Ids(sample), Is.EqualTo(ScriptedModelRunner.Expected(prompt, request.MaxTokens!.Value, seed)));
        }
        Assert.That(generation.Summary!.CompletionTokens, Is.EqualTo(request.Samples * request.MaxTokens!.Value));
        if (request.PromptLogProbs is not null)
        {
            IReadOnlyList<PromptTokenLogProb> scores = generation.Prompt!.LogProbs!;
            Assert.That(scores.Select(score => score.TokenId), Is.EqualTo(prompt.ToArray()));
            for (int i = 1; i < prompt.Length; i++)
            {
                Assert.That(scores[i].LogProb, Is.EqualTo(ScriptedModelRunner.Score(prompt[..i], prompt[i])));
            }
        }
    }

    private sealed class LostDevice() : DeviceException("the device is gone")
    {
        public override bool IsLost => true;
    }
}
