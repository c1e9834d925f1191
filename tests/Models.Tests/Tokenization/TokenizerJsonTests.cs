using System.Text.Json.Nodes;
using LlamaServe.Models.Tokenization;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Tests.Tokenization;

public sealed class TokenizerJsonTests
{
    [Test]
    public void Merges_go_by_rank_then_from_the_left()
    {
        Tokenizer tokenizer = TinyTokenizers.Load(TinyTokenizers.ByteLevel("b c", "a b", "a bc"));
        Assert.That(tokenizer.Pieces("abc"), Is.EqualTo("abc"));
        Assert.That(tokenizer.Pieces("abab"), Is.EqualTo("ab|ab"));
        Assert.That(tokenizer.Pieces("abbc"), Is.EqualTo("ab|bc"));
        Tokenizer repeats = TinyTokenizers.Load(TinyTokenizers.ByteLevel("a a", "aa aa"));
        Assert.That(repeats.Pieces("aaaaaaa"), Is.EqualTo("aaaa|aa|a"));
    }

    [Test]
    public void Merges_may_be_pairs_in_arrays()
    {
        JsonObject json = TinyTokenizers.ByteLevel("a b");
        json["model"]!["merges"] = new JsonArray(new JsonArray("a", "b"));
        Assert.That(TinyTokenizers.Load(json).Pieces("xab"), Is.EqualTo("x|ab"));
    }

    [Test]
    public void A_whole_word_in_the_vocabulary_needs_no_merges_where_the_file_says_so()
    {
        JsonObject json = TinyTokenizers.ByteLevel("a b");
        TinyTokenizers.AddToken(json["model"]!.AsObject(), "cab");
        Assert.That(TinyTokenizers.Load(json).Pieces("cab"), Is.EqualTo("c|ab"));
        json["model"]!["ignore_merges"] = true;
        Assert.That(TinyTokenizers.Load(json).Pieces("cab"), Is.EqualTo("cab"));
    }

    [Test]
    public void Special_tokens_in_the_text_stay_text_unless_asked_for()
    {
        JsonObject json = TinyTokenizers.ByteLevel("e n", "en d");
        json["model"]!["ignore_merges"] = true;
        json["added_tokens"] = new JsonArray(TinyTokenizers.Added(257, "end", special: true), TinyTokenizers.Added(301, "<tool>"));
        Tokenizer tokenizer = TinyTokenizers.Load(json);

        Assert.That(tokenizer.Pieces("end"), Is.EqualTo("en|d"));
        Assert.That(tokenizer.Encode("end", parseSpecialTokens: true), Is.EqualTo(new[] { 257 }));
        Assert.That(tokenizer.Encode("a<tool>a"), Is.EqualTo(new[] { 'a', 301, 'a' }));
        Assert.That((tokenizer.IsSpecial(257), tokenizer.IsSpecial(301), tokenizer.VocabularySize), Is.EqualTo((true, false, 302)));
        Assert.That(tokenizer.Decode(['a', 257, 301]), Is.EqualTo("a<tool>"));
        Assert.That(tokenizer.Decode(['a', 257, 301], skipSpecialTokens: false), Is.EqualTo("aend<tool>"));
    }

    [Test]
    public void Added_tokens_are_found_longest_first_with_their_flags()
    {
        JsonObject json = TinyTokenizers.ByteLevel();
        json["added_tokens"] = new JsonArray(TinyTokenizers.Added(300, "<x>"), TinyTokenizers.Added(301, "<x><y>"),
            TinyTokenizers.Added(302, "<l>", flag: "lstrip"), TinyTokenizers.Added(303, "<r>", flag: "rstrip"), TinyTokenizers.Added(304, "ham", flag: "single_word"));
        Tokenizer tokenizer = TinyTokenizers.Load(json);

        Assert.That(tokenizer.Encode("<x><y><x>"), Is.EqualTo(new[] { 301, 300 }));
        Assert.That(tokenizer.Encode("a  <l>  b"), Is.EqualTo(new[] { 'a', 302, ' ', ' ', 'b' }));
        Assert.That(tokenizer.Encode("a <r>  b"), Is.EqualTo(new[] { 'a', ' ', 303, 'b' }));
        Assert.That(tokenizer.Encode("ham-ham hamx"), Is.EqualTo(new[] { 304, '-', 304, ' ', 'h', 'a', 'm', 'x' }));
    }

    [Test]
    public void The_template_says_what_surrounds_the_text_and_the_configuration_of_a_llama_overrides_it()
    {
        JsonObject json = TinyTokenizers.CodePoints(["▁", "a"]);
        json["post_processor"] = JsonNode.Parse("""
            {"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing",
             "single": [{"SpecialToken": {"id": "B", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "E", "type_id": 0}}],
             "special_tokens": {"B": {"id": "B", "ids": [1], "tokens": ["<s>"]}, "E": {"id": "E", "ids": [2], "tokens": ["</s>"]}}}]}
            """);
        int a = 260;
        Assert.That(TinyTokenizers.Load(json).Encode("a"), Is.EqualTo(new[] { 1, 259, a, 2 }));
        Assert.That(TinyTokenizers.Load(json).Encode("a", addSpecialTokens: false), Is.EqualTo(new[] { 259, a }));
        const string flags = """ "bos_token": "<s>", "eos_token": {"content": "</s>"}, "add_bos_token": true, "add_eos_token": false} """;
        Assert.That(TinyTokenizers.Load(json, """{"tokenizer_class": "LlamaTokenizerFast",""" + flags).Encode("a"), Is.EqualTo(new[] { 1, 259, a }));
        Assert.That(TinyTokenizers.Load(json, """{"tokenizer_class": "PreTrainedTokenizerFast",""" + flags).Encode("a"), Is.EqualTo(new[] { 1, 259, a, 2 }));
        json["post_processor"] = null;
        Tokenizer tokenizer = TinyTokenizers.Load(json, "{" + flags);
        Assert.That(tokenizer.Encode("a"), Is.EqualTo(new[] { 1, 259, a }));
        Assert.That(tokenizer.Special, Is.EqualTo(new SpecialTokens(Bos: 1, Eos: 2, Unknown: 0)));
    }

    [Test]
    public void What_has_no_token_falls_back_to_bytes_and_without_them_to_one_unknown()
    {
        JsonObject json = TinyTokenizers.CodePoints(["▁", "a", "ü"]);
        Tokenizer tokenizer = TinyTokenizers.Load(json);
        Assert.That(tokenizer.Encode("aüé"), Is.EqualTo(new[] { 259, 260, 261, 3 + 0xC3, 3 + 0xA9 }));
        Assert.That(tokenizer.Decode([259, 260, 3 + 0xC3, 3 + 0xA9]), Is.EqualTo("aé"));
        Assert.That(tokenizer.Pieces("<0x41>"), Does.EndWith("<|0|x|4|1|>"), "a byte token's name is not the token");
        json["model"]!["byte_fallback"] = false;
        Assert.That(TinyTokenizers.Load(json).Encode("aéèaé"), Is.EqualTo(new[] { 259, 260, 0, 260, 0 }));
        json["model"]!["fuse_unk"] = false;
        Assert.That(TinyTokenizers.Load(json).Encode("éè"), Is.EqualTo(new[] { 259, 0, 0 }));
    }

    [TestCase("""{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": false}""", "▁a▁▁b", "▁a")]
    [TestCase("""{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true}""", "▁a▁▁b", "a")]
    [TestCase("""{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"}""", "a▁▁b", "a")]
    [TestCase("""{"type": "Metaspace", "replacement": "▁", "add_prefix_space": true}""", "▁a▁▁b", "▁a")]
    public void Metaspace_puts_its_mark_where_its_scheme_says(string preTokenizer, string alone, string afterAddedToken)
    {
        JsonObject json = TinyTokenizers.CodePoints(["▁", "a", "b"]);
        json["normalizer"] = null;
        json["decoder"] = null;
        json["pre_tokenizer"] = JsonNode.Parse(preTokenizer);
        json["added_tokens"]!.AsArray().Add(TinyTokenizers.Added(400, "#"));
        Tokenizer tokenizer = TinyTokenizers.Load(json);
        Assert.That(tokenizer.Pieces("a  b").Replace("|", "", StringComparison.Ordinal), Is.EqualTo(alone));
        Assert.That(tokenizer.Pieces("#a").Replace("|", "", StringComparison.Ordinal), Is.EqualTo("#" + afterAddedToken));
    }

    [Test]
    public void Text_is_normalized_first_and_so_are_added_tokens_that_ask_for_it()
    {
        JsonObject json = TinyTokenizers.ByteLevel();
        json["normalizer"] = new JsonObject { ["type"] = "NFC" };
        json["added_tokens"] = new JsonArray(TinyTokenizers.Added(300, "<e\u0301>", flag: "normalized"), TinyTokenizers.Added(301, "[e\u0301]"));
        Tokenizer tokenizer = TinyTokenizers.Load(json);
        Assert.That(tokenizer.Encode("e\u0301"), Is.EqualTo(new[] { 0xC3, 0xA9 }));
        Assert.That(tokenizer.Encode("<\u00E9>"), Is.EqualTo(new[] { 300 }));
        Assert.That(tokenizer.Encode("[\u00E9]"), Is.EqualTo(new[] { '[', 0xC3, 0xA9, ']' }));
        Assert.That(tokenizer.Encode("[e\u0301]"), Is.EqualTo(new[] { 301 }));
    }

    [TestCase("model", """{"type": "WordPiece", "vocab": {}}""", "'model.type' is 'WordPiece'; supported is BPE")]
    [TestCase("model", """{"type": "BPE", "merges": []}""", "'model.vocab' is missing")]
    [TestCase("model", """{"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}""", "'a b', which is not in the vocabulary")]
    [TestCase("model", """{"type": "BPE", "vocab": {"a": 0}, "merges": ["a"]}""", "'a', which is no pair")]
    [TestCase("model", """{"type": "BPE", "vocab": {"a": -1}, "merges": []}""", "is the id -1")]
    [TestCase("model", """{"type": "BPE", "vocab": {"a": 2000000000}, "merges": []}""", "is the id 2000000000")]
    [TestCase("model", """{"type": "BPE", "vocab": {"a": 0.5}, "merges": []}""", "must be an integer")]
    [TestCase("model", """{"type": "BPE", "vocab": {"\udc00": 0}, "merges": []}""", "Unicode")]
    [TestCase("model", """{"type": "BPE", "vocab": {}, "merges": [], "end_of_word_suffix": "</w>"}""", "'model.end_of_word_suffix' is not supported")]
    [TestCase("normalizer", """{"type": "BertNormalizer"}""", "'BertNormalizer'; supported are NFC")]
    [TestCase("pre_tokenizer", """{"type": "Whitespace"}""", "'Whitespace'; supported are Split")]
    [TestCase("pre_tokenizer", """{"type": "Split", "pattern": {"Regex": "(a+)+b"}, "behavior": "Isolated", "invert": false}""", "has something at")]
    [TestCase("pre_tokenizer", """{"type": "Split", "pattern": {"Regex": "a"}, "behavior": "MergedWithNext", "invert": false}""", "'MergedWithNext' with invert off")]
    [TestCase("decoder", """{"type": "WordPiece"}""", "'WordPiece'")]
    [TestCase("post_processor", """{"type": "BertProcessing"}""", "'BertProcessing'; supported are")]
    [TestCase("post_processor", """{"type": "TemplateProcessing", "single": []}""", "no place for the text")]
    [TestCase("added_tokens", """[{"id": 0, "content": ""}]""", "is empty")]
    public void What_is_not_supported_or_wrong_is_named(string part, string value, string problem)
    {
        string json = TinyTokenizers.ByteLevel().ToJsonString();
        JsonObject others = JsonNode.Parse(json)!.AsObject();
        others.Remove(part);
        using LlamaServe.Testing.TemporaryFolder folder = new();
        File.WriteAllText(folder.File("tokenizer.json"), others.ToJsonString()[..^1] + $", \"{part}\": {value}}}");
        Assert.That(() => TokenizerLoader.LoadSnapshot(folder.Path), Throws.TypeOf<CheckpointException>()
            .With.Message.StartsWith("tokenizer.json: ").And.Message.Contains(problem));
    }

    [Test]
    public void A_folder_without_a_tokenizer_is_refused()
    {
        using LlamaServe.Testing.TemporaryFolder folder = new();
        Assert.That(() => TokenizerLoader.LoadSnapshot(folder.Path), Throws.TypeOf<CheckpointException>().With.Message.Contains("neither"));
    }
}
