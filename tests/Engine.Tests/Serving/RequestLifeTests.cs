using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Tests.Support;

namespace LlamaServe.Engine.Tests.Serving;

/// <summary>Ends that are not the model's: cancellation, deadlines, slow readers, draining, full queues.</summary>
[TestFixture(false)]
[TestFixture(true)]
public class RequestLifeTests(bool overlaps)
{
    [TestCase(true)]
    [TestCase(false)]
    public async Task A_cancelled_request_ends_at_the_next_step_and_frees_its_blocks(bool byToken)
    {
        using var gate = new StepGate();
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, beforeStep: gate.Pass);
        using var cancellation = new CancellationTokenSource();
        Generation generation = harness.Submit(EngineHarness.Request(newTokens: 200) with { Samples = 3 }, cancellation.Token);
        gate.Let(4);
        // Where steps overlap, the fourth is under way.
        int done = overlaps ? 3 : 4;
        await harness.UntilAsync(s => s.Steps == done);
        if (byToken)
        {
            await cancellation.CancelAsync();
        }
        else
        {
            generation.Dispose();
        }
        gate.Let(1);
        List<GeneratedToken> tokens = await EngineHarness.CollectAsync(generation);
        Assert.That(Enumerable.Range(0, 3).Select(i => tokens.Finish(i).Reason), Is.All.EqualTo(FinishReason.Cancelled));
        await harness.UntilAsync(s => s is { KvBlocksUsed: 0, RunningSequences: 0, RequestsInFlight: 0 });
        Assert.That(harness.Engine.GetStatistics().Steps, Is.LessThanOrEqualTo(5));
    }

    [Test]
    public async Task A_waiting_request_can_be_cancelled()
    {
        using var gate = new StepGate();
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, EngineHarness.Small with { MaxSequences = 1 }, beforeStep: gate.Pass);
        Generation running = harness.Submit(EngineHarness.Request());
        Generation waiting = harness.Submit(EngineHarness.Request());
        gate.Let(2);
        await harness.UntilAsync(s => s.WaitingSequences == 1);
        waiting.Dispose();
        gate.Open();
        Assert.That((await EngineHarness.CollectAsync(waiting)).Finish().Reason, Is.EqualTo(FinishReason.Cancelled));
        Assert.That((await EngineHarness.CollectAsync(running)).Finish().Reason, Is.EqualTo(FinishReason.Length));
        Assert.That(waiting.Prompt, Is.Null);
        Assert.That(waiting.Summary!.CompletionTokens, Is.Zero);
    }

    [Test]
    public async Task A_request_ends_when_its_deadline_passes()
    {
        var time = new ManualTime();
        using var gate = new StepGate();
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, time: time, beforeStep: gate.Pass);
        Generation generation = harness.Submit(
            EngineHarness.Request(newTokens: 200) with { Deadline = time.GetUtcNow() + TimeSpan.FromSeconds(2) });
        gate.Let(3);
        int done = overlaps ? 2 : 3;
        await harness.UntilAsync(s => s.Steps == done);
        time.Advance(TimeSpan.FromSeconds(2));
        gate.Open();
        List<GeneratedToken> tokens = await EngineHarness.CollectAsync(generation);
        Assert.That(tokens.Finish().Reason, Is.EqualTo(FinishReason.DeadlineExceeded));
        Assert.That(tokens.Ids(), Has.Length.InRange(done, 5));
        Assert.That(generation.Summary!.Timings.TimeToFirstToken, Is.EqualTo(TimeSpan.Zero));
    }

    [Test]
    public async Task A_deadline_that_has_passed_is_refused()
    {
        var time = new ManualTime();
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, time: time);
        Admission admission = harness.Engine.Submit(EngineHarness.Request() with { Deadline = time.GetUtcNow() });
        Assert.That(admission.Rejection!.Reason, Is.EqualTo(RejectionReason.DeadlineExceeded));
    }

    [Test]
    public async Task A_slow_reader_pauses_its_request_and_nobody_elses_and_nothing_is_lost()
    {
        var time = new ManualTime();
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, EngineHarness.Small with { TokenBuffer = 8 }, time);
        GenerationRequest request = EngineHarness.Request(newTokens: 100);
        Generation slow = harness.Submit(request);
        await harness.UntilAsync(s => s.PausedSequences == 1);
        Assert.That((await harness.RunAsync(EngineHarness.Request(seed: 2) with { MaxTokens = 50 })).Ids(), Has.Length.EqualTo(50));
        Assert.That(slow.Tokens.Count, Is.InRange(8, overlaps ? 10 : 9));
        time.Advance(TimeSpan.FromSeconds(29));
        List<GeneratedToken> tokens = await EngineHarness.CollectAsync(slow);
        Assert.That(tokens.Ids(), Is.EqualTo(ScriptedModelRunner.Expected(request.PromptTokenIds.Span, 100)));
        Assert.That(tokens.Finish().Reason, Is.EqualTo(FinishReason.Length));
    }

    [Test]
    public async Task A_reader_that_stays_away_is_ended_and_its_blocks_are_freed()
    {
        var time = new ManualTime();
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, EngineHarness.Small with { TokenBuffer = 8 }, time);
        Generation away = harness.Submit(EngineHarness.Request(newTokens: 100) with { Samples = 2 });
        await harness.UntilAsync(s => s.PausedSequences == 1);
        time.Advance(TimeSpan.FromSeconds(31));
        await harness.UntilAsync(s => s is { KvBlocksUsed: 0, RequestsInFlight: 0 });
        List<GeneratedToken> tokens = await EngineHarness.CollectAsync(away);
        Assert.That(new[] { tokens.Finish(0).Reason, tokens.Finish(1).Reason }, Is.All.EqualTo(FinishReason.SlowReader));
    }

    [Test]
    public async Task A_paused_request_gives_its_blocks_to_others_and_computes_again()
    {
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, EngineHarness.Small with { TokenBuffer = 8 }, blocks: 12);
        GenerationRequest request = EngineHarness.Request(prompt: 20, newTokens: 25);
        Generation slow = harness.Submit(request);
        await harness.UntilAsync(s => s.PausedSequences == 1);
        await harness.RunAsync(EngineHarness.Request(prompt: 30, newTokens: 15, seed: 3));
        Assert.That(harness.Engine.GetStatistics().Preemptions, Is.Positive);
        Assert.That((await EngineHarness.CollectAsync(slow)).Ids(), Is.EqualTo(ScriptedModelRunner.Expected(request.PromptTokenIds.Span, 25)));
        Assert.That(slow.Summary!.Timings.Preemptions, Is.Positive);
    }

    [Test]
    public async Task Full_queues_refuse_with_a_time_to_come_back()
    {
        using var gate = new StepGate();
        EngineOptions options = EngineHarness.Small with { MaxRequests = 3, MaxRequestsPerTenant = 2 };
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, options, beforeStep: gate.Pass);
        harness.Submit(EngineHarness.Request() with { Tenant = "a", RequestId = "1" });
        Rejection duplicate = harness.Engine.Submit(EngineHarness.Request() with { RequestId = "1" }).Rejection!;
        Assert.That(duplicate.Reason, Is.EqualTo(RejectionReason.DuplicateRequestId));
        harness.Submit(EngineHarness.Request() with { Tenant = "a" });
        Rejection ofTenant = harness.Engine.Submit(EngineHarness.Request() with { Tenant = "a" }).Rejection!;
        Generation last = harness.Submit(EngineHarness.Request() with { Tenant = "b" });
        Rejection ofAll = harness.Engine.Submit(EngineHarness.Request() with { Tenant = "c" }).Rejection!;
        Assert.That(new[] { ofTenant.Reason, ofAll.Reason }, Is.All.EqualTo(RejectionReason.QueueFull));
        Assert.That(ofAll.RetryAfter, Is.GreaterThan(TimeSpan.Zero));
        gate.Open();
        await EngineHarness.CollectAsync(last);
        await harness.UntilAsync(s => s.RequestsInFlight == 0);
        await harness.RunAsync(EngineHarness.Request() with { RequestId = "1" });
    }

    [Test]
    public async Task Draining_takes_nothing_new_and_lets_the_rest_finish()
    {
        using var gate = new StepGate();
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, beforeStep: gate.Pass);
        Generation generation = harness.Submit(EngineHarness.Request());
        Task<bool> drained = harness.Engine.DrainAsync(TimeSpan.FromMinutes(1));
        Assert.That(harness.Engine.State, Is.EqualTo(EngineState.Draining));
        Assert.That(harness.Engine.Submit(EngineHarness.Request()).Rejection!.Reason, Is.EqualTo(RejectionReason.Draining));
        gate.Open();
        Assert.That((await EngineHarness.CollectAsync(generation)).Finish().Reason, Is.EqualTo(FinishReason.Length));
        Assert.That(await drained, Is.True);
        Assert.That(harness.Engine.State, Is.EqualTo(EngineState.Stopped));
        Assert.That(() => harness.Runners.Single().IsDisposed, Is.True.After(60_000, 10));
    }

    [Test]
    public async Task A_drain_that_runs_out_of_time_ends_what_is_left()
    {
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, EngineHarness.Small with { TokenBuffer = 1 });
        Generation stuck = harness.Submit(EngineHarness.Request(newTokens: 100));
        Assert.That(await harness.Engine.DrainAsync(TimeSpan.FromMilliseconds(50)), Is.False);
        Assert.That((await EngineHarness.CollectAsync(stuck)).Finish().Reason, Is.EqualTo(FinishReason.Error));
        Assert.That(stuck.Summary!.Error, Is.EqualTo("The server is shutting down."));
    }

    [Test]
    public async Task An_engine_that_was_never_started_stops_at_once()
    {
        var engine = new LlamaEngine((Func<Models.LoadedModel>)(() => throw new InvalidOperationException("not to be called")), EngineHarness.Small);
        Assert.That(engine.Submit(EngineHarness.Request()).Rejection!.Reason, Is.EqualTo(RejectionReason.NotReady));
        await engine.DisposeAsync();
        Assert.That(engine.State, Is.EqualTo(EngineState.Stopped));
    }
}
