using LlamaServe.Bench.Load;
using LlamaServe.Models.Tokenization;
using LlamaServe.Testing;

namespace LlamaServe.Bench.Tests.Load;

internal sealed class ShareGptWorkloadTests
{
    private static readonly Tokenizer Tokenizer = TokenizerLoader.LoadSnapshot(RepositoryPaths.BundledModel);

    private string _path = "";

    [SetUp]
    public void MakeFile() => _path = Path.GetTempFileName();

    [TearDown]
    public void DeleteFile() => File.Delete(_path);

    [Test]
    public void Pairs_become_prompts_and_lengths()
    {
        const string Prompt = "Tell me of the king who had three daughters.", Answer = "Once upon a time there was a king.";
        Write($$"""[{"id": "a", "conversations": [{"from": "human", "value": "{{Prompt}}"}, {"from": "gpt", "value": "{{Answer}}"}]}]""");
        Turn turn = ShareGptWorkload.Read(_path, 1, Tokenizer, new Random(1)).Single().Turns.Single();

        Assert.That(turn.Input, Is.EqualTo(Tokenizer.Encode(Prompt)));
        Assert.That(turn.OutputTokens, Is.EqualTo(Tokenizer.Encode(Answer, addSpecialTokens: false).Count));
    }

    [Test]
    public void What_does_not_fit_is_left_out()
    {
        string lengthy = string.Concat(Enumerable.Repeat("the wolf and the seven little goats ", 500));
        Write($$"""
            [{"conversations": [{"from": "human", "value": "{{lengthy}}"}, {"from": "gpt", "value": "Once upon a time there was one."}]},
             {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Once upon a time there was one."}]},
             {"conversations": [{"from": "human", "value": "Only a question, and nobody there to answer it."}]}]
            """);

        Assert.That(() => ShareGptWorkload.Read(_path, 1, Tokenizer, new Random(1)), Throws.ArgumentException.With.Message.Contains("0 conversations"));
    }

    [TestCase("not JSON")]
    [TestCase("{}")]
    [TestCase("[1, 2]")]
    [TestCase("""[{"text": "x"}]""")]
    public void Another_format_is_refused(string content)
    {
        Write(content);

        Assert.That(() => ShareGptWorkload.Read(_path, 1, Tokenizer, new Random(1)), Throws.ArgumentException.With.Message.Contains("ShareGPT"));
    }

    private void Write(string content) => File.WriteAllText(_path, content);
}
