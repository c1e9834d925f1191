using LlamaServe.Bench.Models;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cpu;
using LlamaServe.Models;
using LlamaServe.Testing;

namespace LlamaServe.Bench.Tests;

public sealed class RandomLlamaTests
{
    internal static readonly LlamaShape Small = new()
    {
        Hidden = 64,
        Layers = 2,
        Heads = 4,
        KvHeads = 2,
        HeadSize = 16,
        FeedForward = 96,
        Vocabulary = 300,
        Context = 128,
    };

    [TestCase(WeightFormat.F32)]
    [TestCase(WeightFormat.F16)]
    [TestCase(WeightFormat.BF16)]
    [TestCase(WeightFormat.Q8_0)]
    [TestCase(WeightFormat.Q4_0)]
    public void The_file_is_a_checkpoint_of_that_shape_with_a_tokenizer(WeightFormat format)
    {
        using TemporaryFolder folder = new();
        string path = folder.File("random.gguf");
        new RandomLlama(Small, format, seed: 5).Save(path);
        using CpuBackend backend = new(new CpuBackendOptions { Threads = 1 });
        using LoadedModel model = ModelLoader.Load(path, backend);
        Assert.Multiple(() =>
        {
            Assert.That(model.Model.Config.Layers, Is.EqualTo(Small.Layers));
            Assert.That(model.Model.Config.KvHeads, Is.EqualTo(Small.KvHeads));
            Assert.That(model.Model.Config.HeadDim, Is.EqualTo(Small.HeadSize));
            Assert.That(model.Model.Config.VocabularySize, Is.EqualTo(Small.Vocabulary));
            Assert.That(model.Tokenizer.Decode([.. model.Tokenizer.Encode("ab é")]), Is.EqualTo("ab é"));
        });
    }

    [Test]
    public void An_untied_model_has_an_output_projection_of_its_own()
    {
        RandomLlama tied = new(Small, WeightFormat.F32, seed: 5);
        RandomLlama untied = new(Small with { Tied = false }, WeightFormat.F32, seed: 5);
        Assert.That(untied.ParameterCount - tied.ParameterCount, Is.EqualTo(Small.OutputMultiplyAdds));
    }

    [Test]
    public void The_same_seed_gives_the_same_file_and_another_seed_another()
    {
        using TemporaryFolder folder = new();
        byte[][] files = [.. new ulong[] { 5, 5, 6 }.Select((seed, i) =>
        {
            string path = folder.File($"{i}.gguf");
            new RandomLlama(Small, WeightFormat.Q4_0, seed).Save(path);
            return File.ReadAllBytes(path);
        })];
        Assert.That(files[1], Is.EqualTo(files[0]));
        Assert.That(files[2], Is.Not.EqualTo(files[0]));
    }

    [Test]
    public void A_shape_that_makes_no_model_is_refused_before_anything_is_written()
    {
        using TemporaryFolder folder = new();
        string path = folder.File("never.gguf");
        Assert.That(() => new RandomLlama(Small with { KvHeads = 3 }, WeightFormat.F32, seed: 1).Save(path), Throws.ArgumentException);
        Assert.That(Directory.GetFiles(Path.GetDirectoryName(path)!), Is.Empty);
    }

    [Test]
    public void The_deviates_are_normal_and_independent_of_the_row_length()
    {
        float[] row = new float[100_000];
        NormalNoise.Fill(row, seed: 1, stream: 2, deviation: 2);
        float[] start = new float[11];
        NormalNoise.Fill(start, seed: 1, stream: 2, deviation: 2);
        Assert.Multiple(() =>
        {
            Assert.That(row.Average(), Is.EqualTo(0).Within(0.03));
            Assert.That(Math.Sqrt(row.Average(x => x * x)), Is.EqualTo(2).Within(0.03));
            Assert.That(row.Count(x => Math.Abs(x) < 2) / 100_000.0, Is.EqualTo(0.6827).Within(0.01));
            Assert.That(start, Is.EqualTo(row[..11]));
        });
    }
}
