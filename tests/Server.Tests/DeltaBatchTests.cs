using LlamaServe.Engine.Requests;
using LlamaServe.Server.Mapping;
using LlamaServe.V1;
using FinishReason = LlamaServe.Engine.Requests.FinishReason;

namespace LlamaServe.Server.Tests;

public sealed class DeltaBatchTests
{
    [Test]
    public void Tokens_that_are_ready_together_become_one_delta_a_sample()
    {
        DeltaBatch batch = new(samples: 2);
        batch.Add(new GeneratedToken(0, 10, "a"));
        batch.Add(new GeneratedToken(1, 20, ""));
        batch.Add(new GeneratedToken(0, 11, "b"));
        batch.Add(new GeneratedToken(0, 12, "c"));
        batch.Seal();
        Assert.Multiple(() =>
        {
            Assert.That(batch.Count, Is.EqualTo(4));
            Assert.That(batch.Response.Deltas, Has.Count.EqualTo(2));
            Assert.That(batch.Response.Deltas[0].TokenIds, Is.EqualTo(new uint[] { 10, 11, 12 }));
            Assert.That(batch.Response.Deltas[0].Text, Is.EqualTo("abc"));
            Assert.That(batch.Response.Deltas[1].Text, Is.Empty);
        });
    }

    [Test]
    public void A_cleared_batch_carries_nothing_over()
    {
        DeltaBatch batch = new(samples: 1);
        batch.Add(new GeneratedToken(0, 1, "x"));
        batch.Add(new GeneratedToken(0, 2, "y", Finish: new SampleFinish(FinishReason.Stop, MatchedStop: "z")));
        batch.Seal();
        batch.Clear();
        Assert.That(batch.Response, Is.EqualTo(new GenerateResponse()));
        batch.Add(new GeneratedToken(0, 3, "w", LogProb: -1));
        batch.Seal();
        Delta delta = batch.Response.Deltas.Single();
        Assert.That(delta, Is.EqualTo(new Delta { TokenIds = { 3 }, Text = "w", Logprobs = { new V1.TokenLogProb { TokenId = 3, Logprob = -1 } } }));
    }

    [Test]
    public void A_failure_is_kept_apart_from_what_is_written()
    {
        DeltaBatch batch = new(samples: 1);
        batch.Add(new GeneratedToken(0, -1, "", Finish: new SampleFinish(FinishReason.Cancelled)));
        Assert.Multiple(() =>
        {
            Assert.That(batch.Failure?.Reason, Is.EqualTo(FinishReason.Cancelled));
            Assert.That(batch.Finished, Is.EqualTo(1));
            Assert.That(batch.Response.Deltas, Is.Empty);
        });
    }

    [Test]
    public void A_finish_without_a_token_carries_its_held_back_text()
    {
        DeltaBatch batch = new(samples: 1);
        batch.Add(new GeneratedToken(0, -1, "tail", Finish: new SampleFinish(FinishReason.Stop, MatchedStopId: 7)));
        batch.Seal();
        Delta delta = batch.Response.Deltas.Single();
        Assert.Multiple(() =>
        {
            Assert.That(delta.TokenIds, Is.Empty);
            Assert.That(delta.Text, Is.EqualTo("tail"));
            Assert.That(delta.Finish.StopTokenId, Is.EqualTo(7));
        });
    }
}
