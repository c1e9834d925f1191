using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using LlamaServe.Bench.Torch;
using LlamaServe.Bench.Training;
using LlamaServe.Models.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaServe.Bench.Tests;

internal sealed partial class TrainingRunTests
{
    private static readonly TrainingRecipe Tiny = new(
        new LlamaShape(VocabularySize: 300, HiddenSize: 32, Layers: 1, Heads: 2, KeyValueHeads: 1, IntermediateSize: 48, MaxPositions: 32),
        WindowsPerStep: 4, WarmupSteps: 5, LearningRate: 5e-3f, Dropout: 0)
    {
        ComputeType = ScalarType.Float32,
    };

    private string _folder = "";

    [OneTimeSetUp]
    public void LoadRuntime() => TorchRuntime.EnsureLoaded();

    [SetUp]
    public void WriteText()
    {
        _folder = Directory.CreateTempSubdirectory("llamaserve-train").FullName;
        string[] animals = ["wolf", "fox", "bear", "hare"];
        IEnumerable<string> lines = Enumerable.Range(0, 8).SelectMany(tale =>
            Enumerable.Range(0, 80).Select(_ => $"The {animals[tale % 4]} ran into the wood.").Append(""));
        File.WriteAllLines(Path.Combine(_folder, "tales.txt"), lines);
    }

    [TearDown]
    public void DeleteFolder() => Directory.Delete(_folder, recursive: true);

    [Test]
    public void Training_learns_the_text_and_writes_a_snapshot()
    {
        HeldOutLoss loss = Train(steps: 60, out string log);

        Assert.That(loss.PerToken, Is.LessThan(1.5));
        Assert.That(log, Does.Contain("tokens/s"));
        using TensorArchive weights = Safetensors.OpenSnapshot(Path.Combine(_folder, "model"));
        JsonNode config = JsonNode.Parse(File.ReadAllText(Path.Combine(_folder, "model", "config.json")))!;
        Assert.That(weights.Get("model.embed_tokens.weight").Shape[0], Is.EqualTo(config["vocab_size"]!.GetValue<long>()));
    }

    [Test]
    public void Written_weights_are_the_models_own_in_BF16()
    {
        using var model = new TorchLlama(Tiny.Shape, ScalarType.Float32, dropout: 0);
        using var read = new TorchLlama(Tiny.Shape, ScalarType.Float32, dropout: 0);
        string path = Path.Combine(_folder, "model.safetensors");
        SafetensorsWriter.Write(path, model.Parameters);

        using TensorArchive weights = Safetensors.Open(path);
        read.Load(weights);

        foreach (string name in model.Parameters.Keys)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor rounded = model.Parameters[name].detach().bfloat16().@float();
            Assert.That(read.Parameters[name].detach().Equals(rounded), Is.True, name);
        }
    }

    [Test]
    public void A_request_to_finish_starts_the_cooldown_at_once()
    {
        File.WriteAllText(Path.Combine(_folder, "finish"), "");

        Train(steps: 1_000_000, out string log);

        Assert.That(StepsOf(log)[^1], Is.EqualTo(25), "the cooldown takes 30 steps, and every 25th is logged");
        Assert.That(File.Exists(Path.Combine(_folder, "finish")), Is.False);
    }

    [Test]
    public void A_training_continues_from_its_checkpoint()
    {
        using var model = new TorchLlama(Tiny.Shape, ScalarType.Float32, dropout: 0);
        var optimizer = new MuonOptimizer(model.Parameters, ScalarType.Float32);
        new TrainingCheckpoint(_folder, model, optimizer).Save(step: 7, cooldownStart: 9);
        using var other = new TorchLlama(Tiny.Shape, ScalarType.Float32, dropout: 0);

        (int Step, int CooldownStart)? restored =
            new TrainingCheckpoint(_folder, other, new MuonOptimizer(other.Parameters, ScalarType.Float32)).TryRestore();

        Assert.That(restored, Is.EqualTo((7, 9)));
        Assert.That(model.Parameters.Keys.All(name => model.Parameters[name].Equals(other.Parameters[name])), Is.True);
    }

    [Test]
    public void A_checkpoint_of_another_shape_is_refused()
    {
        File.WriteAllBytes(Path.Combine(_folder, "state.bin"), new byte[100]);

        Assert.Throws<InvalidDataException>(() => Train(steps: 60, out _));
    }

    private HeldOutLoss Train(int steps, out string log)
    {
        var options = new TrainingOptions(
            Path.Combine(_folder, "tales.txt"), Path.Combine(_folder, "model"), Checkpoints: _folder,
            Tokens: (long)steps * Tiny.TokensPerStep, Cooldown: 30 * Tiny.TokensPerStep, Threads: 1);
        using var writer = new StringWriter();
        using var run = new TrainingRun(Tiny, options, writer);
        HeldOutLoss loss = run.Run();
        log = writer.ToString();
        return loss;
    }

    private static int[] StepsOf(string log) =>
        [.. StepLine().Matches(log).Select(match => int.Parse(match.Groups[1].ValueSpan, provider: null))];

    [GeneratedRegex(@"step (\d+),")]
    private static partial Regex StepLine();
}
