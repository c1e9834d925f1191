using LlamaServe.Bench.Models;
using LlamaServe.Bench.Peers;
using LlamaServe.Bench.Torch;
using LlamaServe.Engine;
using LlamaServe.Engine.Requests;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cpu;
using LlamaServe.Models;
using LlamaServe.Testing;
using TorchSharp;

namespace LlamaServe.Bench.Tests.Peers;

public sealed class NaiveLlamaTests
{
    [TestCase(WeightFormat.F32, true)]
    [TestCase(WeightFormat.F32, false)]
    [TestCase(WeightFormat.BF16, true)]
    public async Task It_chooses_the_tokens_that_the_engine_chooses(WeightFormat format, bool isTied)
    {
        const int Count = 24;
        using TemporaryFolder folder = new();
        string path = folder.File("random.gguf");
        LlamaShape shape = RandomLlamaTests.Small with { Tied = isTied };
        new RandomLlama(shape, format, seed: 5).Save(path);
        int[] prompt = [.. Enumerable.Range(0, 20).Select(i => 260 + 7 * i % 40)];
        TorchRuntime.EnsureLoaded();
        using NaiveLlama model = new(path, shape, torch.ScalarType.Float32);
        int[] expected = await GenerateAsync(path, prompt, Count);
        Assert.That(Generate(model, prompt, Count), Is.EqualTo(expected));
        model.Clear();
        Assert.That(Generate(model, prompt, Count), Is.EqualTo(expected), "after another sequence");
    }

    private static int[] Generate(NaiveLlama model, int[] prompt, int count)
    {
        int[] tokens = new int[count];
        tokens[0] = model.Next(prompt);
        for (int i = 1; i < count; i++)
        {
            tokens[i] = model.Next([tokens[i - 1]]);
        }

        return tokens;
    }

    private static async Task<int[]> GenerateAsync(string path, int[] prompt, int count)
    {
        EngineOptions options = new() { KvCacheBytes = 16 << 20, KvCacheType = DType.F32 };
        await using LlamaEngine engine = new(() => ModelLoader.Load(path, new CpuBackend(new CpuBackendOptions { Threads = 1 })), options);
        await engine.StartAsync(CancellationToken.None);
        GenerationRequest request = new() { PromptTokenIds = prompt, Sampling = SamplingParameters.Greedy, MaxTokens = count, IgnoreEos = true };
        List<int> tokens = [];
        await foreach (GeneratedToken token in engine.GenerateAsync(request, CancellationToken.None))
        {
            tokens.Add(token.TokenId);
        }

        return [.. tokens];
    }
}
