using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Tests.Support;

namespace LlamaServe.Engine.Tests.Serving;

[TestFixture(false)]
[TestFixture(true)]
public class CrowdTests(bool overlaps)
{
    /// <summary>A third cancelled at random, some with deadlines, some read slowly, over a cache that forces preemption.</summary>
    [Test]
    public async Task In_a_crowd_every_request_ends_rightly_and_survivors_have_their_own_tokens()
    {
        EngineOptions options = EngineHarness.Small with { MaxSequences = 24, TokenBudget = 48, TokenBuffer = 16 };
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, options, blocks: 90);
        FinishReason[] reasons = await Task.WhenAll(Enumerable.Range(0, 256).Select(i => Task.Run(() => LiveAsync(harness, i))));
        Assert.That(reasons.Count(r => r == FinishReason.Length), Is.GreaterThan(100));
        Assert.That(reasons.Count(r => r == FinishReason.Cancelled), Is.GreaterThan(20));
        Assert.That(reasons, Has.None.EqualTo(FinishReason.Error).And.None.EqualTo(FinishReason.SlowReader));
        await harness.UntilAsync(s => s is { KvBlocksUsed: 0, RunningSequences: 0, WaitingSequences: 0, RequestsInFlight: 0 });
        Assert.That(harness.Engine.GetStatistics().Preemptions, Is.Positive);
    }

    private static async Task<FinishReason> LiveAsync(EngineHarness harness, int index)
    {
        var random = new Random(index);
        bool isCancelled = index % 3 == 0;
        GenerationRequest request = EngineHarness.Request(random.Next(1, 80), random.Next(1, 60), random.Next(6), (ulong)index) with
        {
            Samples = random.Next(5) == 0 ? 3 : 1,
            Priority = random.Next(-1, 2),
            Tenant = $"tenant {random.Next(4)}",
            Deadline = index % 7 == 0 ? DateTimeOffset.UtcNow.AddMilliseconds(random.Next(5, 200)) : null,
        };
        using var cancellation = new CancellationTokenSource();
        Admission admission = harness.Engine.Submit(request, cancellation.Token);
        if (admission.Rejection is { Reason: RejectionReason.DeadlineExceeded })
        {
            // This thread had to wait for its turn longer than the request for its deadline.
            return FinishReason.DeadlineExceeded;
        }
        Assert.That(admission.Rejection, Is.Null);
        Generation generation = admission.Generation!;
        // Counted in tokens, not in time: a fast machine must not finish before the cancellation.
        int tokensToRead = isCancelled ? random.Next(-10, 10) : int.MaxValue;
        if (tokensToRead <= 0)
        {
            await cancellation.CancelAsync();
        }
        var tokens = new List<GeneratedToken>();
        await foreach (GeneratedToken token in generation.Tokens.ReadAllAsync(CancellationToken.None))
        {
            tokens.Add(token);
            if (tokens.Count == tokensToRead)
            {
                await cancellation.CancelAsync();
            }
            if (random.Next(40) == 0)
            {
                await Task.Delay(5, CancellationToken.None);
            }
        }
        for (int sample = 0; sample < request.Samples; sample++)
        {
            int[] expected = ScriptedModelRunner.Expected(request.PromptTokenIds.Span, request.MaxTokens!.Value, (ulong)(index + sample));
            int[] ids = tokens.Ids(sample);
            Assert.That(ids, Is.EqualTo(expected[..ids.Length]), $"request {index}, sample {sample}");
            Assert.That(ids.Length == expected.Length, Is.EqualTo(tokens.Finish(sample).Reason == FinishReason.Length));
        }
        Assert.That(generation.Summary, Is.Not.Null);
        return tokens.Finish(0).Reason;
    }
}
