using System.Text.Json;
using LlamaServe.Models.Tests.Weights;
using LlamaServe.Models.Tokenization;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Tokenization;

/// <summary>The three forms of one tokenizer against the ids that the model was given when its golden outputs were made.</summary>
public sealed class GoldenTokenizationTests
{
    [TestCase("tokenizer.json")]
    [TestCase("tokenizer.model")]
    [TestCase("GGUF")]
    public void The_prompts_of_the_shared_model_become_its_golden_ids(string source)
    {
        Tokenizer tokenizer = Load(source);
        Assert.That(tokenizer.VocabularySize, Is.EqualTo(512));
        Assert.That((tokenizer.Special.Bos, tokenizer.Special.Eos, tokenizer.Special.Unknown), Is.EqualTo((1, 2, 0)));
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(RepositoryPaths.RequireStories(), "golden.json")));
        int cases = 0;
        foreach (JsonElement item in golden.RootElement.GetProperty("cases").EnumerateArray())
        {
            string prompt = item.GetProperty("prompt").GetString()!;
            int[] ids = [.. item.GetProperty("prompt_token_ids").EnumerateArray().Select(id => id.GetInt32())];
            Assert.That(tokenizer.Encode(prompt), Is.EqualTo(ids), prompt);
            Assert.That(tokenizer.Decode(ids), Is.EqualTo(prompt));
            cases++;
        }
        Assert.That(cases, Is.GreaterThan(0));
    }

    [Test]
    public void The_three_forms_agree_on_random_text()
    {
        Tokenizer json = Load("tokenizer.json"), model = Load("tokenizer.model"), gguf = Load("GGUF");
        Random random = new(7);
        for (int i = 0; i < 2000; i++)
        {
            string text = RandomText.Next(random, 40);
            List<int> ids = json.Encode(text);
            Assert.That(model.Encode(text), Is.EqualTo(ids), text);
            Assert.That(gguf.Encode(text), Is.EqualTo(ids), text);
            string decoded = text.Replace('▁', ' ');
            Assert.That(json.Decode([.. ids]), Is.EqualTo(decoded));
            Assert.That(model.Decode([.. ids]), Is.EqualTo(decoded));
            Assert.That(gguf.Decode([.. ids]), Is.EqualTo(decoded));
        }
    }

    private static Tokenizer Load(string source)
    {
        if (source == "tokenizer.json")
        {
            return TokenizerLoader.LoadSnapshot(RepositoryPaths.RequireStories());
        }
        if (source == "tokenizer.model")
        {
            using TemporaryFolder folder = new();
            folder.Write(source, File.ReadAllBytes(Path.Combine(RepositoryPaths.RequireStories(), source)));
            return TokenizerLoader.LoadSnapshot(folder.Path);
        }
        using GgufFile file = GgufFile.Open(Path.Combine(RepositoryPaths.RequireStories(), "stories260K.gguf"));
        return TokenizerLoader.Load(file.Metadata);
    }
}
