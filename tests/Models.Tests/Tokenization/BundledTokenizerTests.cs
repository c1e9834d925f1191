using System.Text.Json;
using LlamaServe.Models.Tokenization;
using LlamaServe.Testing;
using Microsoft.ML.Tokenizers;
using Tokenizer = LlamaServe.Models.Tokenization.Tokenizer;

namespace LlamaServe.Models.Tests.Tokenization;

/// <summary>The bundled model's byte-level BPE against Microsoft.ML.Tokenizers' on the same vocabulary and merges.</summary>
public sealed class BundledTokenizerTests
{
    private static readonly string Json = Path.Combine(RepositoryPaths.BundledModel, "tokenizer.json");

    [Test]
    public void Another_implementation_gives_the_same_ids()
    {
        Tokenizer tokenizer = TokenizerLoader.LoadSnapshot(RepositoryPaths.BundledModel);
        BpeTokenizer oracle = Oracle();
        Random random = new(13);
        for (int i = 0; i < 3000; i++)
        {
            // .NET's regular expressions see no letters beyond U+FFFF, so the oracle cuts those texts differently.
            string text = string.Concat(RandomText.Next(random, 30).Where(c => !char.IsSurrogate(c)));
            Assert.That(tokenizer.Encode(text, addSpecialTokens: false), Is.EqualTo(oracle.EncodeToIds(text)), text);
        }
    }

    [Test]
    public void Text_survives_the_way_there_and_back()
    {
        Tokenizer tokenizer = TokenizerLoader.LoadSnapshot(RepositoryPaths.BundledModel);
        Random random = new(14);
        for (int i = 0; i < 3000; i++)
        {
            string text = RandomText.Next(random, 30);
            Assert.That(tokenizer.Decode([.. tokenizer.Encode(text)]), Is.EqualTo(text));
        }
        Assert.That(tokenizer.Encode("a\uD800b"), Is.EqualTo(tokenizer.Encode("a\uFFFDb")), "a lone surrogate has no UTF-8");
    }

    [Test]
    public void Text_cannot_forge_special_tokens()
    {
        Tokenizer tokenizer = TokenizerLoader.LoadSnapshot(RepositoryPaths.BundledModel);
        int end = tokenizer.Special.Eos!.Value;
        Assert.That(tokenizer.Encode("a<|end_of_text|>", addSpecialTokens: false).Exists(tokenizer.IsSpecial), Is.False);
        Assert.That(tokenizer.Encode("a<|end_of_text|>", addSpecialTokens: false, parseSpecialTokens: true)[^1], Is.EqualTo(end));
        Assert.That(tokenizer.Encode("a")[0], Is.EqualTo(tokenizer.Special.Bos!.Value));
    }

    private static BpeTokenizer Oracle()
    {
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(Json));
        JsonElement model = json.RootElement.GetProperty("model");
        Dictionary<string, int> vocabulary = model.GetProperty("vocab").EnumerateObject().ToDictionary(token => token.Name, token => token.Value.GetInt32());
        IEnumerable<string> merges = [.. model.GetProperty("merges").EnumerateArray().Select(pair => $"{pair[0].GetString()} {pair[1].GetString()}")];
        return BpeTokenizer.Create(new BpeOptions(vocabulary)
        {
            Merges = merges,
            ByteLevel = true,
            PreTokenizer = new RegexPreTokenizer(new System.Text.RegularExpressions.Regex(PreTokenizerPatterns.Llama3), specialTokens: null),
        });
    }
}
