using System.Text.Json.Nodes;
using LlamaServe.Bench.Torch;
using LlamaServe.Bench.Training;
using LlamaServe.Models.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaServe.Bench.Tests;

internal sealed class TorchLlamaTests
{
    private static readonly string GoldenModel = Path.Combine("shared", "models", "stories260k");

    private static readonly LlamaShape Tiny = new(
        VocabularySize: 50, HiddenSize: 32, Layers: 2, Heads: 4, KeyValueHeads: 2, IntermediateSize: 48, MaxPositions: 16);

    [OneTimeSetUp]
    public void LoadRuntime() => TorchRuntime.EnsureLoaded();

    [Test]
    public void A_trained_model_gives_its_golden_logits()
    {
        string folder = FindGoldenModel();
        var shape = new LlamaShape(512, 64, 5, 8, 4, 172, 512);
        using var model = new TorchLlama(shape, ScalarType.Float32, dropout: 0);
        using TensorArchive checkpoint = Safetensors.OpenSnapshot(folder);
        model.Load(checkpoint);

        foreach (JsonNode? golden in JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "golden.json")))!["cases"]!.AsArray())
        {
            using DisposeScope scope = NewDisposeScope();
            using IDisposable noGradient = no_grad();
            long[] prompt = [.. golden!["prompt_token_ids"]!.AsArray().Select(token => token!.GetValue<long>())];
            float[] logits = model.Forward(tensor(prompt).unsqueeze(0))[0, -1].data<float>().ToArray();
            foreach (JsonNode? top in golden["last_prompt_top_logits"]!.AsArray())
            {
                Assert.That(logits[top![0]!.GetValue<int>()], Is.EqualTo(top[1]!.GetValue<double>()).Within(1e-3));
            }
        }
    }

    [Test]
    public void A_token_does_not_see_the_tokens_after_it()
    {
        using DisposeScope scope = NewDisposeScope();
        using var model = new TorchLlama(Tiny, ScalarType.Float32, dropout: 0);

        Tensor first = model.Forward(tensor(new long[] { 1, 2, 3, 4 }).unsqueeze(0));
        Tensor second = model.Forward(tensor(new long[] { 1, 2, 9, 8 }).unsqueeze(0));

        Assert.That((first[0, 1] - second[0, 1]).abs().max().item<float>(), Is.LessThan(1e-6));
        Assert.That((first[0, 2] - second[0, 2]).abs().max().item<float>(), Is.GreaterThan(1e-6));
    }

    [Test]
    public void A_new_model_knows_nothing()
    {
        using DisposeScope scope = NewDisposeScope();
        using var model = new TorchLlama(Tiny, ScalarType.Float32, dropout: 0);
        Tensor tokens = randint(0, Tiny.VocabularySize, [4, 16], ScalarType.Int64);

        Assert.That(model.Loss(tokens, tokens.roll(1, 1)).item<float>(), Is.EqualTo(Math.Log(Tiny.VocabularySize)).Within(0.1));
    }

    [Test]
    public void Every_parameter_gets_a_gradient()
    {
        using DisposeScope scope = NewDisposeScope();
        using var model = new TorchLlama(Tiny, ScalarType.BFloat16, dropout: 0.1) { Training = true };
        Tensor tokens = randint(0, Tiny.VocabularySize, [4, 16], ScalarType.Int64);

        model.Loss(tokens, tokens.roll(1, 1)).backward();

        foreach ((string name, Tensor parameter) in model.Parameters.Select(pair => (pair.Key, (Tensor)pair.Value)))
        {
            Assert.That(parameter.grad!.abs().sum().item<float>(), Is.GreaterThan(0), name);
        }
    }

    private static string FindGoldenModel()
    {
        for (DirectoryInfo? folder = new(TestContext.CurrentContext.TestDirectory); folder is not null; folder = folder.Parent)
        {
            string candidate = Path.Combine(folder.FullName, GoldenModel);
            if (Directory.Exists(candidate))
            {
                return candidate;
            }
        }
        Assert.Ignore($"SKIPPED: {GoldenModel} is not beside this repository, so nothing is compared with the golden model");
        return "";
    }
}
