using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Tests.Support;

namespace LlamaServe.Engine.Tests.Serving;

[TestFixture(false)]
[TestFixture(true)]
public class GenerationTests(bool overlaps)
{
    [Test]
    public async Task A_request_gets_the_models_tokens()
    {
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps);
        GenerationRequest request = EngineHarness.Request(prompt: 50, newTokens: 20);
        Generation generation = harness.Submit(request);
        List<GeneratedToken> tokens = await EngineHarness.CollectAsync(generation);
        Assert.That(tokens.Ids(), Is.EqualTo(ScriptedModelRunner.Expected(request.PromptTokenIds.Span, 20)));
        Assert.That(tokens.Finish(), Is.EqualTo(new SampleFinish(FinishReason.Length)));
        Assert.That(tokens.Text(), Is.EqualTo(new string([.. tokens.Ids().Select(ScriptedModelRunner.Letter)])));
        Assert.That(generation.Prompt, Is.EqualTo(new PromptInfo(50, 0, null)));
        Assert.That(generation.Summary!.CompletionTokens, Is.EqualTo(20));
        Assert.That(generation.Summary.Error, Is.Null);
    }

    [Test]
    public async Task Tokens_do_not_depend_on_company_chunking_prefix_hits_or_preemption()
    {
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, blocks: 40);
        var requests = Enumerable.Range(0, 32).Select(i => EngineHarness.Request(5 + i * 7 % 60, 5 + i * 11 % 50, i % 5, (ulong)i)).ToList();
        List<GeneratedToken>[] results = await Task.WhenAll(requests.Select(harness.RunAsync));
        for (int i = 0; i < requests.Count; i++)
        {
            int[] expected = ScriptedModelRunner.Expected(requests[i].PromptTokenIds.Span, requests[i].MaxTokens!.Value, (ulong)i);
            Assert.That(results[i].Ids(), Is.EqualTo(expected), $"request {i}");
        }
        EngineStatistics statistics = harness.Engine.GetStatistics();
        Assert.That(statistics.Preemptions, Is.Positive);
        Assert.That(statistics.PrefixHitTokens, Is.Positive);
    }

    [Test]
    public async Task Samples_share_the_prompt_and_draw_with_their_own_seeds()
    {
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps);
        GenerationRequest request = EngineHarness.Request(prompt: 30, newTokens: 12, sampling: 100) with { Samples = 4 };
        Generation generation = harness.Submit(request);
        List<GeneratedToken> tokens = await EngineHarness.CollectAsync(generation);
        for (int i = 0; i < 4; i++)
        {
            Assert.That(tokens.Ids(i), Is.EqualTo(ScriptedModelRunner.Expected(request.PromptTokenIds.Span, 12, 100 + (ulong)i)));
            Assert.That(tokens.Finish(i).Reason, Is.EqualTo(FinishReason.Length));
        }
        Assert.That(generation.Summary!.CompletionTokens, Is.EqualTo(48));
        Assert.That(harness.Engine.GetStatistics().PrefillTokens, Is.EqualTo(30 + 3), "each further sample computes the last prompt token alone");
    }

    [Test]
    public async Task The_second_request_with_a_prompt_finds_it_in_the_cache_unless_tenant_or_salt_differ()
    {
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps);
        GenerationRequest request = EngineHarness.Request(prompt: 32);
        Assert.That(await CachedAsync(request), Is.Zero);
        Assert.That(await CachedAsync(request), Is.EqualTo(28), "the last block is computed again for its logits");
        Assert.That(await CachedAsync(request with { Tenant = "other" }), Is.Zero);
        Assert.That(await CachedAsync(request with { CacheSalt = "salt" }), Is.Zero);

        async Task<int> CachedAsync(GenerationRequest asked)
        {
            Generation generation = harness.Submit(asked);
            int[] ids = (await EngineHarness.CollectAsync(generation)).Ids();
            Assert.That(ids, Is.EqualTo(ScriptedModelRunner.Expected(request.PromptTokenIds.Span, 10)));
            return generation.Prompt!.CachedTokens;
        }
    }

    [Test]
    public async Task Prompt_log_probabilities_come_for_each_token_and_alternative()
    {
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps);
        GenerationRequest request = EngineHarness.Request(prompt: 33) with { PromptLogProbs = 2 };
        foreach (int repetition in new[] { 0, 1 })
        {
            Generation generation = harness.Submit(request);
            await EngineHarness.CollectAsync(generation);
            IReadOnlyList<PromptTokenLogProb> scores = generation.Prompt!.LogProbs!;
            int[] prompt = request.PromptTokenIds.ToArray();
            Assert.That(scores.Select(s => s.TokenId), Is.EqualTo(prompt));
            Assert.That(scores[0].LogProb, Is.NaN);
            for (int i = 1; i < prompt.Length; i++)
            {
                Assert.That(scores[i].LogProb, Is.EqualTo(ScriptedModelRunner.Score(prompt.AsSpan(0, i), prompt[i])), $"token {i}");
                Assert.That(scores[i].Top.Select(t => t.TokenId), Is.EqualTo(new[] { prompt[i], prompt[i] + 1 }));
            }
        }
    }

    [Test]
    public async Task Log_probabilities_come_with_the_chosen_token_and_the_most_likely_ones()
    {
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps);
        List<GeneratedToken> tokens = await harness.RunAsync(EngineHarness.Request() with { LogProbs = 3 });
        Assert.That(tokens.Select(t => t.Top!.Length), Is.All.EqualTo(3));
        Assert.That(tokens.Select(t => t.LogProb), Is.All.Not.NaN);
        Assert.That((await harness.RunAsync(EngineHarness.Request())).Select(t => t.LogProb), Is.All.NaN);
        Assert.That((await harness.RunAsync(EngineHarness.Request() with { LogProbs = 0 })).Select(t => t.Top), Is.All.Null);
    }

    [Test]
    public async Task An_end_id_ends_unless_ignored_or_too_early()
    {
        GenerationRequest request = EngineHarness.Request();
        int[] expected = ScriptedModelRunner.Expected(request.PromptTokenIds.Span, 10);
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps, endIds: [expected[4]]);

        List<GeneratedToken> ended = await harness.RunAsync(request);
        Assert.That(ended.Ids(), Is.EqualTo(expected[..5]));
        Assert.That(ended.Finish(), Is.EqualTo(new SampleFinish(FinishReason.Stop, MatchedStopId: expected[4])));
        Assert.That(ended.Text(), Has.Length.EqualTo(4), "an end id has no text");

        Assert.That((await harness.RunAsync(request with { IncludeStop = true })).Text(), Has.Length.EqualTo(5));
        Assert.That((await harness.RunAsync(request with { IgnoreEos = true })).Ids(), Is.EqualTo(expected));
        int[] longer = (await harness.RunAsync(request with { MinTokens = 6 })).Ids();
        Assert.That(longer, Has.Length.GreaterThan(6));
        Assert.That(longer[4], Is.EqualTo(expected[4] + 1), "a banned id cannot be chosen");
    }

    [Test]
    public async Task A_stop_id_of_the_request_ends_it()
    {
        GenerationRequest request = EngineHarness.Request();
        int[] expected = ScriptedModelRunner.Expected(request.PromptTokenIds.Span, 10);
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps);
        List<GeneratedToken> tokens = await harness.RunAsync(request with { StopTokenIds = [expected[2]], IgnoreEos = true });
        Assert.That(tokens.Finish(), Is.EqualTo(new SampleFinish(FinishReason.Stop, MatchedStopId: expected[2])));
        Assert.That(tokens.Ids(), Has.Length.EqualTo(3));
    }

    [TestCase(false)]
    [TestCase(true)]
    public async Task A_stop_string_ends_and_is_cut_out_unless_included(bool include)
    {
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps);
        GenerationRequest request = EngineHarness.Request(newTokens: 30);
        string text = (await harness.RunAsync(request)).Text();
        string stop = text[10..13];
        List<GeneratedToken> tokens = await harness.RunAsync(request with { StopStrings = ["~", stop], IncludeStop = include });
        int at = text.IndexOf(stop, StringComparison.Ordinal);
        Assert.That(tokens.Text(), Is.EqualTo(text[..(at + (include ? 3 : 0))]));
        Assert.That(tokens.Finish(), Is.EqualTo(new SampleFinish(FinishReason.Stop, MatchedStop: stop)));
    }

    [Test]
    public async Task Without_text_tokens_carry_ids_only_and_stop_strings_still_work()
    {
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps);
        GenerationRequest request = EngineHarness.Request(newTokens: 30);
        string text = (await harness.RunAsync(request)).Text();
        List<GeneratedToken> tokens = await harness.RunAsync(request with { ReturnText = false, StopStrings = [text[10..13]] });
        Assert.That(tokens.Text(), Is.Empty);
        Assert.That(tokens.Finish().Reason, Is.EqualTo(FinishReason.Stop));
    }

    [Test]
    public async Task Without_a_maximum_a_request_runs_until_context_or_cache_are_full()
    {
        await using EngineHarness roomy = await EngineHarness.StartAsync(overlaps, context: 40);
        List<GeneratedToken> tokens = await roomy.RunAsync(EngineHarness.Request() with { MaxTokens = null });
        Assert.That(tokens.Ids(), Has.Length.EqualTo(30));
        Assert.That(tokens.Finish().Reason, Is.EqualTo(FinishReason.ContextFull));

        await using EngineHarness tight = await EngineHarness.StartAsync(overlaps, context: 256, blocks: 5);
        tokens = await tight.RunAsync(EngineHarness.Request() with { MaxTokens = null });
        Assert.That(tokens.Ids(), Has.Length.EqualTo(11), "20 slots hold all but the last of 10 + 11 tokens");
    }

    [Test]
    public async Task The_streaming_form_gives_the_same_tokens_and_throws_what_is_refused()
    {
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps);
        var tokens = new List<GeneratedToken>();
        await foreach (GeneratedToken token in harness.Engine.GenerateAsync(EngineHarness.Request()))
        {
            tokens.Add(token);
        }
        Assert.That(tokens.Ids(), Is.EqualTo(ScriptedModelRunner.Expected(EngineHarness.Prompt(10), 10)));
        RequestRejectedException? refused = await Assert.ThrowsAsync<RequestRejectedException>(async () =>
        {
            await foreach (GeneratedToken _ in harness.Engine.GenerateAsync(EngineHarness.Request(newTokens: 0)))
            {
            }
        });
        Assert.That(refused!.Rejection.Field, Is.EqualTo(nameof(GenerationRequest.MaxTokens)));
    }

    [Test]
    public async Task A_seed_that_was_drawn_is_reported_and_draws_the_same_again()
    {
        await using EngineHarness harness = await EngineHarness.StartAsync(overlaps);
        GenerationRequest unseeded = EngineHarness.Request() with { Sampling = new SamplingParameters() };
        Generation first = harness.Submit(unseeded);
        int[] ids = (await EngineHarness.CollectAsync(first)).Ids();
        int[] again = (await harness.RunAsync(unseeded with { Sampling = new SamplingParameters { Seed = first.Seed } })).Ids();
        Assert.That(again, Is.EqualTo(ids));
    }
}
