using System.Text.Json;
using System.Text.Json.Nodes;
using LlamaServe.Bench.Training;

namespace LlamaServe.Bench.Tests;

internal sealed class TokenizerJsonTests
{
    private static readonly BytePairVocabulary Vocabulary =
        BytePairTrainer.Train(["the wolf and the fox and the wolf's \"old\" house\n\nand the wolf"], 300);

    private static readonly JsonObject Written = TokenizerJson.Create(Vocabulary);

    [Test]
    public void Token_ids_are_dense_and_special_tokens_follow_the_vocabulary()
    {
        int[] ids = [.. Written["model"]!["vocab"]!.AsObject().Select(entry => entry.Value!.GetValue<int>())];
        int[] added = [.. Written["added_tokens"]!.AsArray().Select(token => token!["id"]!.GetValue<int>())];

        Assert.That(ids.Concat(added), Is.EqualTo(Enumerable.Range(0, Vocabulary.Size)));
    }

    [Test]
    public void Every_merge_joins_two_tokens_to_the_next_one()
    {
        JsonObject ids = Written["model"]!["vocab"]!.AsObject();
        int next = 256;
        foreach (JsonNode? merge in Written["model"]!["merges"]!.AsArray())
        {
            (string left, string right) = (merge![0]!.GetValue<string>(), merge[1]!.GetValue<string>());
            Assert.That(ids[left], Is.Not.Null);
            Assert.That(ids[right], Is.Not.Null);
            Assert.That(ids[left + right]!.GetValue<int>(), Is.EqualTo(next++));
        }
        Assert.That(next, Is.GreaterThan(260));
    }

    [Test]
    public void Text_is_split_by_the_pattern_the_trainer_used_and_only_by_it()
    {
        JsonArray steps = Written["pre_tokenizer"]!["pretokenizers"]!.AsArray();

        Assert.That(steps[0]!["pattern"]!["Regex"]!.GetValue<string>(), Is.EqualTo(BytePairVocabulary.SplitPattern));
        Assert.That(steps[1]!["use_regex"]!.GetValue<bool>(), Is.False);
        Assert.That(steps[1]!["add_prefix_space"]!.GetValue<bool>(), Is.False);
    }

    [Test]
    public void Every_text_begins_with_begin_of_text()
    {
        JsonNode post = Written["post_processor"]!;
        string name = post["single"]![0]!["SpecialToken"]!["id"]!.GetValue<string>();

        Assert.That(post["special_tokens"]![name]!["ids"]![0]!.GetValue<int>(), Is.EqualTo(Vocabulary.BeginOfTextToken));
    }

    [Test]
    public void It_is_valid_json() =>
        Assert.DoesNotThrow(() => JsonDocument.Parse(Written.ToJsonString()).Dispose());
}
