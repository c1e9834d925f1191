using System.Text;
using LlamaServe.Models.Configuration;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Configuration;

public sealed class GenerationDefaultsTests
{
    [Test]
    public void Values_come_from_generation_config()
    {
        GenerationDefaults defaults = Read(
            """{"eos_token_id": [2, 5, 2], "bos_token_id": 1, "do_sample": true, "temperature": 0.6, "top_p": 0.9, "top_k": 50, "min_p": 0.05, "repetition_penalty": 1.1}""");

        Assert.Multiple(() =>
        {
            Assert.That(defaults.EosTokenIds, Is.EqualTo(new[] { 2, 5 }));
            Assert.That(defaults.BosTokenId, Is.EqualTo(1));
            Assert.That((defaults.Temperature, defaults.TopP, defaults.TopK), Is.EqualTo((0.6f, 0.9f, 50)));
            Assert.That((defaults.MinP, defaults.RepetitionPenalty), Is.EqualTo((0.05f, 1.1f)));
        });
    }

    [Test]
    public void Sampling_switched_off_is_greedy() =>
        Assert.That(Read("""{"do_sample": false, "temperature": 0.6}""").Temperature, Is.Zero);

    [Test]
    public void What_is_not_stated_is_null()
    {
        GenerationDefaults defaults = Read("{}");

        Assert.Multiple(() =>
        {
            Assert.That((defaults.Temperature, defaults.TopP, defaults.TopK), Is.EqualTo(((float?)null, (float?)null, (int?)null)));
            Assert.That(defaults.EosTokenIds, Is.EqualTo(new[] { 9 }), "from config.json");
        });
    }

    [TestCase("""{"eos_token_id": 100}""", "'eos_token_id' is 100, not in 0 to 99")]
    [TestCase("""{"eos_token_id": "</s>"}""", "'eos_token_id' must be an integer")]
    [TestCase("""{"temperature": -1}""", "'temperature' is -1, not in 0 to 100")]
    [TestCase("""{"top_p": 0}""", "'top_p' is 0, not in")]
    [TestCase("[]", "must be an object")]
    public void Values_out_of_range_are_refused_by_name(string json, string problem)
    {
        CheckpointException? error = Assert.Throws<CheckpointException>(() => Read(json));

        Assert.That(error!.Message, Does.StartWith("generation_config.json: ").And.Contain(problem));
    }

    private static GenerationDefaults Read(string generationConfig)
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder.File("generation_config.json"), generationConfig);
        return SnapshotGeneration.Read(folder.Path, CheckpointJson.Parse("config.json", Encoding.UTF8.GetBytes("""{"eos_token_id": 9}""")), vocabularySize: 100);
    }
}
