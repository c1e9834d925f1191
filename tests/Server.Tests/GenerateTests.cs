using Grpc.Core;
using LlamaServe.Server.Tests.Support;
using LlamaServe.V1;

namespace LlamaServe.Server.Tests;

/// <summary>Generate as a client sees it, on a random model of one token a byte.</summary>
public sealed class GenerateTests : TinyServerTests
{
    [Test]
    public async Task A_stream_starts_with_the_prompt_and_ends_with_finish_usage_and_timings()
    {
        StreamResult result = await Generate(Requests.Text("Once upon a time", 24));
        Assert.Multiple(() =>
        {
            Assert.That(result.Status, Is.EqualTo(StatusCode.OK));
            Assert.That(result.Prompt.Model, Is.EqualTo("tiny"));
            Assert.That(result.Prompt.PromptTokens, Is.EqualTo(16));
            Assert.That(result.Prompt.RequestId, Is.Not.Empty);
            Assert.That(result.Messages.Skip(1).Select(m => m.Prompt), Is.All.Null);
            Assert.That(result.Messages.SkipLast(1).Select(m => m.Usage), Is.All.Null);
            Assert.That(result.Ids(), Has.Length.EqualTo(24));
            Assert.That(result.Finish().Reason, Is.EqualTo(FinishReason.Length));
            Assert.That((result.Usage.PromptTokens, result.Usage.CompletionTokens), Is.EqualTo((16u, 24u)));
            Assert.That(result.Timings.TimeToFirstTokenMs, Is.GreaterThan(0));
            Assert.That(result.Timings.TimeToFirstTokenMs, Is.EqualTo(result.Timings.QueueMs + result.Timings.PrefillMs).Within(1e-3));
            Assert.That(result.Timings.TimePerTokenMs, Is.EqualTo(result.Timings.DecodeMs / 23).Within(1e-6));
        });
    }

    [Test]
    public async Task Text_and_its_token_ids_give_the_same_tokens()
    {
        TokenizeResponse tokens = await Server.Client.TokenizeAsync(new TokenizeRequest { Text = "The fox" });
        StreamResult byText = await Generate(Requests.Text("The fox", 16));
        StreamResult byIds = await Generate(Requests.Apply(
            Requests.Text("", 16), request => request.TokenIds = new TokenIds { Ids = { tokens.TokenIds } }));
        Assert.That(byIds.Ids(), Is.EqualTo(byText.Ids()));
    }

    [Test]
    public async Task The_text_of_all_deltas_is_the_text_of_all_ids()
    {
        StreamResult result = await Generate(Requests.Apply(Requests.Text("é", 64), request => request.Sampling = new SamplingOptions { Seed = 3 }));
        DetokenizeResponse whole = await Server.Client.DetokenizeAsync(new DetokenizeRequest { TokenIds = { result.Ids() } });
        Assert.Multiple(() =>
        {
            Assert.That(result.Text(), Is.Not.Empty);
            Assert.That(result.Text(), Is.EqualTo(whole.Text));
        });
    }

    [Test]
    public async Task Characters_of_several_tokens_come_whole()
    {
        // 😀 is F0 9F 98 80: with four ids forbidden to be anything else, only their order varies.
        SamplingOptions sampling = new() { Seed = 11, LogitBias = { [0xF0] = 100, [0x9F] = 100, [0x98] = 100, [0x80] = 100 } };
        StreamResult result = await Generate(Requests.Apply(Requests.Text("😀", 200), request => request.Sampling = sampling));
        Assert.Multiple(() =>
        {
            foreach (Delta delta in result.Deltas())
            {
                Assert.That(delta.Text.EnumerateRunes().Sum(rune => rune.Utf16SequenceLength), Is.EqualTo(delta.Text.Length));
            }
            Assert.That(result.Text(), Does.Contain("😀"));
        });
    }

    [Test]
    public async Task A_seed_repeats_and_no_seed_is_reported()
    {
        GenerateRequest request = Requests.Apply(Requests.Text("x", 16), r => r.Sampling = new SamplingOptions { Temperature = 1 });
        StreamResult first = await Generate(request);
        request.Sampling.Seed = first.Prompt.Seed;
        StreamResult again = await Generate(request);
        Assert.Multiple(() =>
        {
            Assert.That(again.Prompt.Seed, Is.EqualTo(first.Prompt.Seed));
            Assert.That(again.Ids(), Is.EqualTo(first.Ids()));
        });
    }

    [Test]
    public async Task Samples_share_a_stream_and_end_once_each()
    {
        GenerateRequest request = Requests.Apply(Requests.Text("x", 12), r => (r.N, r.Sampling) = (3, new SamplingOptions { Seed = 100 }));
        StreamResult three = await Generate(request);
        request.N = 1;
        request.Sampling.Seed = 102;
        StreamResult third = await Generate(request);
        Assert.Multiple(() =>
        {
            Assert.That(Enumerable.Range(0, 3).Select(sample => three.Ids(sample).Length), Is.All.EqualTo(12));
            Assert.That(Enumerable.Range(0, 3).Select(sample => three.Finish(sample).Reason), Is.All.EqualTo(FinishReason.Length));
            Assert.That(three.Usage.CompletionTokens, Is.EqualTo(36));
            Assert.That(three.Ids(2), Is.EqualTo(third.Ids()), "sample i draws with seed + i");
        });
    }

    [Test]
    public async Task Logprobs_come_one_a_token_with_the_most_likely_ones()
    {
        GenerateRequest request = Requests.Apply(
            Requests.Text("abc", 8), r => r.Response = new ResponseOptions { Logprobs = 3, PromptLogprobs = 2 });
        StreamResult result = await Generate(request);
        TokenLogProb[] records = [.. result.Deltas().SelectMany(d => d.Logprobs)];
        Assert.Multiple(() =>
        {
            Assert.That(records.Select(r => r.TokenId), Is.EqualTo(result.Ids()));
            Assert.That(records.Select(r => r.Top.Count), Is.All.EqualTo(3));
            Assert.That(records.Select(r => r.Top[0].TokenId), Is.EqualTo(result.Ids()), "greedy takes the most likely");
            Assert.That(records.Select(r => r.Top[0].Logprob), Is.EqualTo(records.Select(r => r.Logprob)));
            Assert.That(result.Prompt.Logprobs, Has.Count.EqualTo(3));
            Assert.That(result.Prompt.Logprobs[0].HasLogprob, Is.False);
            Assert.That(result.Prompt.Logprobs[1].Logprob, Is.LessThan(0));
            Assert.That(result.Prompt.Logprobs[1].Top, Has.Count.EqualTo(2));
        });
    }

    [Test]
    public async Task Without_text_only_ids_come()
    {
        StreamResult result = await Generate(Requests.Apply(Requests.Text("abc", 8), r => r.Response = new ResponseOptions { Text = false }));
        Assert.Multiple(() =>
        {
            Assert.That(result.Ids(), Has.Length.EqualTo(8));
            Assert.That(result.Text(), Is.Empty);
        });
    }

    [Test]
    public async Task Stops_name_what_matched()
    {
        uint[] ids = (await Generate(Requests.Text("abc", 8))).Ids();
        StreamResult byId = await Generate(Requests.Apply(Requests.Text("abc", 8), r => r.Stopping.StopTokenIds.Add(ids[4])));
        GenerateRequest letters = Requests.Apply(Requests.Text("abc", 64), r =>
        {
            r.Sampling = new SamplingOptions { Seed = 5, LogitBias = { ['a'] = 100, ['b'] = 100 } };
            r.Stopping.Stop.Add("ba");
        });
        StreamResult byText = await Generate(letters);
        Assert.Multiple(() =>
        {
            Assert.That(byId.Finish().Reason, Is.EqualTo(FinishReason.Stop));
            Assert.That(byId.Finish().StopTokenId, Is.EqualTo(ids[4]));
            Assert.That(byText.Finish().Stop, Is.EqualTo("ba"));
            Assert.That(byText.Text(), Does.Not.Contain("ba"));
        });
    }

    [Test]
    public async Task A_prompt_seen_before_is_found_in_the_cache()
    {
        string prompt = new('q', 100);
        await Generate(Requests.Text(prompt, 2));
        StreamResult again = await Generate(Requests.Text(prompt, 2));
        StreamResult salted = await Generate(Requests.Apply(Requests.Text(prompt, 2), r => r.CacheSalt = "other"));
        StreamResult tenant = await StreamResult.Read(
            Server.Client.Generate(Requests.Text(prompt, 2), new Metadata { { "x-llamaserve-tenant", "other" } }));
        Assert.Multiple(() =>
        {
            Assert.That(again.Prompt.CachedTokens, Is.EqualTo(96));
            Assert.That(again.Usage.CachedTokens, Is.EqualTo(96));
            Assert.That(salted.Prompt.CachedTokens, Is.Zero);
            Assert.That(tenant.Prompt.CachedTokens, Is.Zero);
        });
    }
}
