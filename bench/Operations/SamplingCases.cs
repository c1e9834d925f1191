using LlamaServe.Kernels;
using LlamaServe.Kernels.Cpu;
using static TorchSharp.torch;

namespace LlamaServe.Bench.Operations;

/// <summary>Choosing tokens from rows of logits.</summary>
internal sealed class SamplingCases(CpuBackend backend, int vocabulary, int[] rowCounts)
{
    private static readonly SamplingRow Greedy = new() { TopP = 1, RepetitionPenalty = 1, TargetId = -1 };

    public IEnumerable<OperationCase> All() => rowCounts.SelectMany(rows =>
        Sample("greedy", rows, Greedy, hasPeer: true)
            .Concat(Sample("top-k 50, top-p 0.95", rows, Greedy with { Temperature = 0.8f, TopK = 50, TopP = 0.95f, Seed = 1 }, hasPeer: false)));

    private IEnumerable<OperationCase> Sample(string how, int rows, SamplingRow row, bool hasPeer)
    {
        double bytes = (double)sizeof(float) * rows * vocabulary;
        int variants = Activations.Variants(bytes);
        using Activations logits = new(variants, rows, vocabulary);
        using TorchTensors peerLogits = new(hasPeer ? variants : 1, ScalarType.Float32, rows, vocabulary);
        SamplingBatch batch = new(rows);
        for (int i = 0; i < rows; i++)
        {
            batch.Add(row);
        }

        OperationCase sample = new("Sample", $"{how} [{rows} × {vocabulary}]", variants, variant => backend.Sample(logits[variant], batch)) { Bytes = bytes };
        yield return hasPeer
            ? sample with { PeerName = "PyTorch F32 argmax", Peer = variant => peerLogits[variant].argmax(-1).Dispose() }
            : sample;
    }
}
