using System.Text.Json.Nodes;
using LlamaServe.Models.Tests.Weights;
using LlamaServe.Models.Tokenization;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Tokenization;

public sealed class GgufTokenizerTests
{
    private const string Keys = "tokenizer.ggml.";

    [Test]
    public void The_bundled_models_vocabulary_as_GGUF_tokenizes_like_its_tokenizer_json()
    {
        Tokenizer expected = TokenizerLoader.LoadSnapshot(RepositoryPaths.BundledModel);
        Tokenizer tokenizer = Load(Bundled().Key(Keys + "pre", "llama-bpe").Key(Keys + "add_bos_token", true));
        Assert.That(tokenizer.Special with { EndOfTurn = null }, Is.EqualTo(expected.Special));
        Random random = new(21);
        for (int i = 0; i < 2000; i++)
        {
            string text = RandomText.Next(random, 30);
            List<int> ids = expected.Encode(text, parseSpecialTokens: i % 2 == 0);
            Assert.That(tokenizer.Encode(text, parseSpecialTokens: i % 2 == 0), Is.EqualTo(ids), text);
            Assert.That(tokenizer.Decode([.. ids]), Is.EqualTo(text));
        }
    }

    [TestCase("gpt-2", "12", false)]
    [TestCase("smollm", "1|2", false)]
    [TestCase("llama-bpe", "12", true)]
    [TestCase("smaug-bpe", "12", false)]
    [TestCase("qwen2", "1|2", false)]
    [TestCase("tekken", "1|2", true)]
    [TestCase("default", "12", false)]
    [TestCase(null, "12", false)]
    public void A_name_decides_about_digits_and_about_the_beginning(string? name, string pieces, bool addsBos)
    {
        GgufWriter writer = Tiny();
        Tokenizer tokenizer = Load(name is null ? writer : writer.Key(Keys + "pre", name));
        Assert.That(tokenizer.Pieces("12"), Is.EqualTo(pieces));
        Assert.That(tokenizer.Encode("").Count, Is.EqualTo(addsBos ? 1 : 0));
    }

    [Test]
    public void Qwen_text_is_normalized() => Assert.That(Load(Tiny().Key(Keys + "pre", "qwen2")).Encode("e\u0301"), Is.EqualTo(new[] { 0xC3, 0xA9 }));

    [Test]
    public void SentencePiece_keys_decide_about_the_space_and_the_ends()
    {
        Assert.That(Load(SentencePiece()).Encode("a b"), Is.EqualTo(new[] { 1, 5, 3, 6 }));
        Assert.That(Load(SentencePiece().Key(Keys + "add_space_prefix", false).Key(Keys + "add_bos_token", false).Key(Keys + "add_eos_token", true)).Encode("a"),
            Is.EqualTo(new[] { 4, 2 }));
    }

    [Test]
    public void What_is_contradictory_or_not_supported_is_refused_with_its_key()
    {
        Refused("'tokenizer.ggml.model' is missing", new GgufWriter());
        Refused("'tokenizer.ggml.model' is 'bert'; supported are", new GgufWriter().Key(Keys + "model", "bert"));
        Refused("'tokenizer.ggml.tokens' is missing", new GgufWriter().Key(Keys + "model", "llama"));
        Refused("'tokenizer.ggml.scores' is missing", new GgufWriter().Key(Keys + "model", "llama").Key(Keys + "tokens", new[] { "a" }));
        Refused("another length", new GgufWriter().Key(Keys + "model", "llama").Key(Keys + "tokens", new[] { "a" }).Key(Keys + "scores", new[] { 1f, 2f }));
        Refused("another length", new GgufWriter().Key(Keys + "model", "gpt2").Key(Keys + "tokens", new[] { "a" }).Key(Keys + "token_type", new[] { 1, 1 }));
        Refused("'tokenizer.ggml.merges' is missing", new GgufWriter().Key(Keys + "model", "gpt2").Key(Keys + "tokens", new[] { "a" }));
        Refused("'tokenizer.ggml.merges' has 'a b', which is no pair", new GgufWriter().Key(Keys + "model", "gpt2").Key(Keys + "tokens", new[] { "a" }).Key(Keys + "merges", new[] { "a b" }));
        Refused("pre-tokenizer 'bloom'", Tiny().Key(Keys + "pre", "bloom"));
        Refused("'tokenizer.ggml.eos_token_id' is 9999", Tiny().Key(Keys + "eos_token_id", 9999));
        Refused("impossible id, score or type", new GgufWriter().Key(Keys + "model", "llama").Key(Keys + "tokens", new[] { "a" }).Key(Keys + "scores", new[] { 1f }).Key(Keys + "token_type", new[] { 17 }));
    }

    private static GgufWriter Bundled()
    {
        JsonNode json = JsonNode.Parse(File.ReadAllText(Path.Combine(RepositoryPaths.BundledModel, "tokenizer.json")))!;
        JsonObject vocabulary = json["model"]!["vocab"]!.AsObject();
        JsonArray added = json["added_tokens"]!.AsArray();
        string[] tokens = new string[vocabulary.Count + added.Count];
        int[] types = new int[tokens.Length];
        foreach ((string token, JsonNode? id) in vocabulary)
        {
            (tokens[(int)id!], types[(int)id!]) = (token, 1);
        }
        foreach (JsonNode? token in added)
        {
            (tokens[(int)token!["id"]!], types[(int)token["id"]!]) = ((string)token["content"]!, 3);
        }
        return new GgufWriter().Key(Keys + "model", "gpt2").Key(Keys + "tokens", tokens).Key(Keys + "token_type", types)
            .Key(Keys + "merges", json["model"]!["merges"]!.AsArray().Select(pair => $"{pair![0]} {pair[1]}").ToArray())
            .Key(Keys + "bos_token_id", (uint)Array.IndexOf(tokens, "<|begin_of_text|>"))
            .Key(Keys + "eos_token_id", (uint)Array.IndexOf(tokens, "<|end_of_text|>"));
    }

    private static GgufWriter Tiny()
    {
        JsonObject vocabulary = TinyTokenizers.ByteLevel("1 2")["model"]!["vocab"]!.AsObject();
        return new GgufWriter().Key(Keys + "model", "gpt2").Key(Keys + "tokens", vocabulary.Select(token => token.Key).ToArray())
            .Key(Keys + "merges", new[] { "1 2" }).Key(Keys + "bos_token_id", 0u);
    }

    private static GgufWriter SentencePiece() => new GgufWriter().Key(Keys + "model", "llama")
        .Key(Keys + "tokens", new[] { "<unk>", "<s>", "</s>", "▁", "a", "▁a", "b" })
        .Key(Keys + "scores", new[] { 0f, 0, 0, -1, -2, -3, -4 }).Key(Keys + "token_type", new[] { 2, 3, 3, 1, 1, 1, 1 });

    private static Tokenizer Load(GgufWriter writer)
    {
        using TemporaryFolder folder = new();
        using GgufFile file = GgufFile.Open(folder.Write("model.gguf", writer.ToBytes()));
        return TokenizerLoader.Load(file.Metadata);
    }

    private static void Refused(string problem, GgufWriter writer) => Assert.That(() => Load(writer),
        Throws.TypeOf<CheckpointException>().With.Message.StartsWith("model.gguf: ").And.Message.Contains(problem));
}
