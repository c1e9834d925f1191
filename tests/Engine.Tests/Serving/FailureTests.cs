using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Tests.Support;
using LlamaServe.Kernels;

namespace LlamaServe.Engine.Tests.Serving;

/// <summary>Steps that throw, hang or give nonsense, and who is hurt by it.</summary>
[TestFixture(false)]
[TestFixture(true)]
public class FailureTests(bool overlaps)
{
    private const int Poison = 666;

    [Test]
    public async Task A_request_that_makes_the_model_throw_fails_alone()
    {
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, beforeStep: plan =>
        {
            if (Contains(plan, Poison))
            {
                throw new InvalidOperationException("secret detail");
            }
        });
        var requests = Enumerable.Range(0, 7).Select(i => EngineHarness.Request(seed: i)).ToList();
        Generation poisoned = harness.Submit(EngineHarness.Request() with { PromptTokenIds = new[] { 1, Poison, 3 }, Samples = 2 });
        List<GeneratedToken>[] results = await Task.WhenAll(requests.Select(harness.RunAsync));
        for (int i = 0; i < requests.Count; i++)
        {
            Assert.That(results[i].Ids(), Is.EqualTo(ScriptedModelRunner.Expected(requests[i].PromptTokenIds.Span, 10)), $"request {i}");
        }
        List<GeneratedToken> failed = await EngineHarness.CollectAsync(poisoned);
        Assert.That(new[] { failed.Finish(0).Reason, failed.Finish(1).Reason }, Is.All.EqualTo(FinishReason.Error));
        Assert.That(poisoned.Summary!.Error, Does.Not.Contain("secret"));
        Assert.That(harness.Engine.State, Is.EqualTo(EngineState.Ready));
    }

    [Test]
    public async Task A_passing_fault_hurts_nobody()
    {
        int step = 0;
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, beforeStep: _ =>
        {
            if (++step == 5)
            {
                throw new InvalidOperationException("once");
            }
        });
        List<GeneratedToken>[] results = await Task.WhenAll(Enumerable.Range(0, 4).Select(i => harness.RunAsync(
            EngineHarness.Request(seed: i) with { Samples = 2 })));
        Assert.That(results.Select(r => r.Finish(1).Reason), Is.All.EqualTo(FinishReason.Length));
        for (int i = 0; i < 4; i++)
        {
            Assert.That(results[i].Ids(1), Is.EqualTo(ScriptedModelRunner.Expected(EngineHarness.Prompt(10, i), 10, 1)));
        }
    }

    [Test]
    public async Task Logits_that_are_not_numbers_fail_their_sample_alone()
    {
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, isNaN: s => s.Spec.Sample == 1 && s.OutputCount == 3);
        Generation generation = harness.Submit(EngineHarness.Request() with { Samples = 3 });
        List<GeneratedToken> tokens = await EngineHarness.CollectAsync(generation);
        Assert.That(Enumerable.Range(0, 3).Select(i => tokens.Finish(i).Reason), Is.EqualTo(new[] { FinishReason.Length, FinishReason.Error, FinishReason.Length }));
        Assert.That(tokens.Ids(1), Has.Length.EqualTo(3));
        Assert.That(generation.Summary!.Error, Is.Not.Null);
    }

    [Test]
    public async Task A_step_that_hangs_restarts_the_loop_and_keeps_the_work()
    {
        var time = new ManualTime();
        using var hang = new ManualResetEventSlim();
        int steps = 0;
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, time: time, beforeStep: _ =>
        {
            if (Interlocked.Increment(ref steps) == 6)
            {
                hang.Wait(TimeSpan.FromMinutes(5));
            }
        });
        var requests = Enumerable.Range(0, 12).Select(i => EngineHarness.Request(seed: i, prompt: 20, sampling: (ulong)i)).ToList();
        List<Generation> generations = [.. requests.Select(r => harness.Submit(r))];
        await harness.UntilAsync(_ => Volatile.Read(ref steps) == 6);
        time.Advance(TimeSpan.FromSeconds(61));
        for (int i = 0; i < requests.Count; i++)
        {
            List<GeneratedToken> tokens = await EngineHarness.CollectAsync(generations[i]);
            Assert.That(tokens.Ids(), Is.EqualTo(ScriptedModelRunner.Expected(requests[i].PromptTokenIds.Span, 10, (ulong)i)), $"request {i}");
        }
        Assert.That(harness.Runners, Has.Count.EqualTo(2));
        Assert.That(harness.Engine.GetStatistics().Restarts, Is.EqualTo(1));
        Assert.That(harness.Engine.State, Is.EqualTo(EngineState.Ready));
        Assert.That(harness.Runners[0].IsDisposed, Is.False);
        hang.Set();
        Assert.That(() => harness.Runners[0].IsDisposed, Is.True.After(60_000, 10), "an abandoned loop cleans up once it is back");
        Assert.That((await harness.RunAsync(requests[0])).Ids(), Is.EqualTo(ScriptedModelRunner.Expected(requests[0].PromptTokenIds.Span, 10)));
    }

    [Test]
    public async Task A_request_whose_step_hangs_twice_is_ended()
    {
        var time = new ManualTime();
        using var hang = new ManualResetEventSlim();
        int hung = 0;
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, time: time, beforeStep: plan =>
        {
            if (Contains(plan, Poison))
            {
                Interlocked.Increment(ref hung);
                hang.Wait(TimeSpan.FromMinutes(5));
            }
        });
        Generation poisoned = harness.Submit(EngineHarness.Request() with { PromptTokenIds = new[] { 1, Poison, 3 } });
        for (int i = 1; i <= 2; i++)
        {
            await harness.UntilAsync(_ => Volatile.Read(ref hung) == i);
            time.Advance(TimeSpan.FromSeconds(61));
        }
        Assert.That((await EngineHarness.CollectAsync(poisoned)).Finish().Reason, Is.EqualTo(FinishReason.Error));
        await harness.UntilAsync(s => s.State == EngineState.Ready);
        Assert.That((await harness.RunAsync(EngineHarness.Request())).Finish().Reason, Is.EqualTo(FinishReason.Length));
        hang.Set();
    }

    [Test]
    public async Task Hangs_without_end_fail_the_engine_and_its_requests()
    {
        var time = new ManualTime();
        using var hang = new ManualResetEventSlim();
        int hung = 0;
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, EngineHarness.Small with { MaxRestarts = 0 }, time, beforeStep: _ =>
        {
            Interlocked.Increment(ref hung);
            hang.Wait(TimeSpan.FromMinutes(5));
        });
        Generation running = harness.Submit(EngineHarness.Request());
        await harness.UntilAsync(_ => Volatile.Read(ref hung) == 1);
        Generation queued = harness.Submit(EngineHarness.Request());
        time.Advance(TimeSpan.FromSeconds(61));
        Assert.That((await EngineHarness.CollectAsync(running)).Finish().Reason, Is.EqualTo(FinishReason.Error));
        Assert.That((await EngineHarness.CollectAsync(queued)).Finish().Reason, Is.EqualTo(FinishReason.Error));
        Assert.That(harness.Engine.State, Is.EqualTo(EngineState.Failed));
        Assert.That(harness.Engine.Submit(EngineHarness.Request()).Rejection!.Reason, Is.EqualTo(RejectionReason.NotReady));
        hang.Set();
    }

    [Test]
    public async Task A_lost_device_fails_the_engine_and_its_requests()
    {
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, beforeStep: _ => throw new LostDevice(), beforeDispose: () => throw new LostDevice());
        Generation generation = harness.Submit(EngineHarness.Request());
        Assert.That((await EngineHarness.CollectAsync(generation)).Finish().Reason, Is.EqualTo(FinishReason.Error));
        Assert.That(generation.Summary!.Error, Is.EqualTo("The device is lost."));
        await harness.UntilAsync(s => s.State == EngineState.Failed);
        Assert.That(harness.Runners, Has.Count.EqualTo(1), "no other runner could have it");
    }

    [Test]
    public async Task A_fault_outside_the_model_restarts_the_loop_and_keeps_the_work()
    {
        int texts = 0;
        // An engine that starts again takes no requests.
        using var submitted = new ManualResetEventSlim();
        await using EngineHarness harness = await EngineHarness.StartAsync(
            overlaps,
            beforeText: () =>
            {
                submitted.Wait();
                if (++texts == 6)
                {
                    throw new InvalidOperationException("once");
                }
            },
            beforeDispose: () => throw new InvalidOperationException("a runner that cannot be freed"));
        var requests = Enumerable.Range(0, 4).Select(i => EngineHarness.Request(seed: i, prompt: 3, newTokens: 20, sampling: (ulong)i)).ToList();
        Task<List<GeneratedToken>>[] runs = [.. requests.Select(harness.RunAsync)];
        submitted.Set();
        List<GeneratedToken>[] outcomes = await Task.WhenAll(runs);
        Assert.That(harness.Engine.GetStatistics().Restarts, Is.EqualTo(1));
        for (int i = 0; i < requests.Count; i++)
        {
            int[] ids = outcomes[i].Ids(), expected = ScriptedModelRunner.Expected(requests[i].PromptTokenIds.Span, 20, (ulong)i);
            Assert.That(ids, Is.EqualTo(expected[..ids.Length]), $"request {i}");
            Assert.That(outcomes[i].Finish().Reason, Is.EqualTo(ids.Length == 20 ? FinishReason.Length : FinishReason.Error));
        }
    }

    [Test]
    public async Task A_model_that_cannot_be_loaded_fails_the_start()
    {
        var engine = new LlamaEngine((Func<Models.LoadedModel>)(() => throw new InvalidDataException("bad file")), EngineHarness.Small);
        await Assert.ThrowsAsync<InvalidDataException>(() => engine.StartAsync());
        Assert.That(engine.State, Is.EqualTo(EngineState.Failed));
        await engine.DisposeAsync();
    }

    private static bool Contains(StepPlan plan, int token)
    {
        foreach (StepSlice slice in plan.Slices)
        {
            if (slice.Sequence.Tokens.Contains(token))
            {
                return true;
            }
        }
        return false;
    }

    private sealed class LostDevice() : DeviceException("the device is gone")
    {
        public override bool IsLost => true;
    }
}
