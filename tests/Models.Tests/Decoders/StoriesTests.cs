using System.Text.Json;
using LlamaServe.Kernels.Cpu;
using LlamaServe.Models.Checkpoints;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Decoders;

/// <summary>stories260k, a trained Llama, against outputs that were computed in double precision elsewhere.</summary>
public sealed class StoriesTests
{
    private const double LogProbTolerance = 1e-4;
    private const double LogitTolerance = 1e-3;

    [Test]
    public void The_snapshot_continues_every_golden_prompt()
    {
        string folder = RepositoryPaths.RequireStories();
        Check(folder, Checkpoint.OpenSnapshot(folder));
    }

    [Test]
    public void The_gguf_file_continues_every_golden_prompt()
    {
        string folder = RepositoryPaths.RequireStories();
        Check(folder, Checkpoint.OpenGguf(GgufFile.Open(Path.Combine(folder, "stories260K.gguf"))));
    }

    private static void Check(string folder, Checkpoint checkpoint)
    {
        using CpuBackend backend = new();
        using CausalLm model = Load(checkpoint, backend);
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "golden.json")));
        JsonElement cases = golden.RootElement.GetProperty("cases");
        Assert.That(cases.GetArrayLength(), Is.GreaterThan(0));
        foreach (JsonElement expected in cases.EnumerateArray())
        {
            CheckCase(model, expected);
        }
    }

    private static void CheckCase(CausalLm model, JsonElement expected)
    {
        string prompt = expected.GetProperty("prompt").GetString()!;
        int[] promptIds = expected.GetProperty("prompt_token_ids").Deserialize<int[]>()!;
        int[] greedyIds = expected.GetProperty("greedy_token_ids").Deserialize<int[]>()!;
        double[] logProbs = expected.GetProperty("greedy_logprobs").Deserialize<double[]>()!;
        using PagedSequence sequence = new(model, promptIds.Length + greedyIds.Length);
        float[] logits = sequence.AppendForLast(promptIds);
        foreach (JsonElement top in expected.GetProperty("last_prompt_top_logits").EnumerateArray())
        {
            Assert.That(logits[top[0].GetInt32()], Is.EqualTo(top[1].GetDouble()).Within(LogitTolerance), prompt);
        }
        for (int i = 0; i < greedyIds.Length; i++)
        {
            int best = Array.IndexOf(logits, logits.Max());
            Assert.That(best, Is.EqualTo(greedyIds[i]), $"{prompt}, token {i}");
            Assert.That(LogProb(logits, best), Is.EqualTo(logProbs[i]).Within(LogProbTolerance), $"{prompt}, token {i}");
            logits = sequence.AppendForLast([best]);
        }
    }

    private static double LogProb(float[] logits, int id)
    {
        double largest = logits.Max();
        return logits[id] - largest - Math.Log(logits.Sum(logit => Math.Exp(logit - largest)));
    }

    private static CausalLm Load(Checkpoint checkpoint, CpuBackend backend)
    {
        using (checkpoint)
        {
            return checkpoint.Load(backend, progress: null);
        }
    }
}
