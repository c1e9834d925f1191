using LlamaServe.Bench.Models;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cpu;
using TorchSharp;
using static TorchSharp.torch;
using TorchTensor = TorchSharp.torch.Tensor;

namespace LlamaServe.Bench.Operations;

/// <summary>
/// Operations on rows, which memory bounds. Their inputs come from memory, as if other work had swept the caches; in a step a few
/// rows come from a cache, and take less.
/// </summary>
internal sealed class RowCases(CpuBackend backend, LlamaShape shape, int[] rowCounts)
{
    private const float Epsilon = 1e-5f;

    /// <summary>Kept, since TorchSharp lets go of a scalar while libtorch reads it, and a collection just then frees it.</summary>
    private static readonly Scalar TorchEpsilon = Epsilon, Two = 2;

    public IEnumerable<OperationCase> All() => rowCounts.SelectMany(rows => RmsNorm(rows).Concat(GatedActivation(rows)).Concat(GatherRows(rows)))
        .Concat(Embed(WeightFormat.BF16)).Concat(Embed(WeightFormat.Q8_0));

    private IEnumerable<OperationCase> RmsNorm(int rows)
    {
        double bytes = 2.0 * sizeof(float) * rows * shape.Hidden;
        int variants = Activations.Variants(bytes);
        using Activations x = new(variants, rows, shape.Hidden), gains = new(1, 1, shape.Hidden);
        using Weight gain = backend.LoadVector([new WeightData("gain", WeightFormat.F32, 1, shape.Hidden, gains[0].Address)]);
        using TorchTensors peerX = new(variants, ScalarType.Float32, rows, shape.Hidden), peerGain = new(1, ScalarType.Float32, shape.Hidden);
        yield return new OperationCase("RmsNorm", $"[{rows} × {shape.Hidden}]", variants, Run)
        {
            Bytes = bytes,
            PeerName = "PyTorch F32, as transformers writes it",
            Peer = variant => Norm(peerX[variant], peerGain[0]),
        };

        void Run(int variant)
        {
            backend.ResetStep();
            backend.RmsNorm(x[variant], gain, Epsilon);
        }
    }

    private IEnumerable<OperationCase> GatedActivation(int rows)
    {
        int columns = shape.FeedForward;
        double bytes = 3.0 * sizeof(float) * rows * columns;
        int variants = Activations.Variants(bytes);
        using Activations x = new(variants, rows, 2 * columns);
        using TorchTensors gates = new(variants, ScalarType.Float32, rows, columns), ups = new(variants, ScalarType.Float32, rows, columns);
        yield return new OperationCase("GatedActivation", $"[{rows} × 2 · {columns}]", variants, Run)
        {
            Bytes = bytes,
            PeerName = "PyTorch F32 silu, mul",
            Peer = variant =>
            {
                using TorchTensor gate = nn.functional.silu(gates[variant]);
                gate.mul(ups[variant]).Dispose();
            },
        };

        void Run(int variant)
        {
            backend.ResetStep();
            backend.GatedActivation(x[variant]);
        }
    }

    /// <summary>Every other row of twice as many.</summary>
    private IEnumerable<OperationCase> GatherRows(int rows)
    {
        double bytes = 2.0 * sizeof(float) * rows * shape.Hidden;
        int variants = Activations.Variants(2 * bytes);
        using Activations x = new(variants, 2 * rows, shape.Hidden);
        using TorchTensors peerX = new(variants, ScalarType.Float32, 2 * rows, shape.Hidden);
        using TorchTensor indices = arange(1, 2 * rows, 2, ScalarType.Int64);
        ForwardBatch batch = new(2 * rows, rows, maxBlocksPerSequence: 1);
        for (int sequence = 0; sequence < rows; sequence++)
        {
            batch.Add([0, 0], firstPosition: 0, [0], blockSize: 16, logitsFrom: 1);
        }

        yield return new OperationCase("GatherRows", $"every other of [{2 * rows} × {shape.Hidden}]", variants, Run)
        {
            Bytes = bytes,
            PeerName = "PyTorch F32 index_select",
            Peer = variant => peerX[variant].index_select(0, indices).Dispose(),
        };

        void Run(int variant)
        {
            backend.ResetStep();
            backend.GatherRows(x[variant], batch);
        }
    }

    /// <summary>Random tokens of a whole vocabulary: each reads another row of the table.</summary>
    private IEnumerable<OperationCase> Embed(WeightFormat format)
    {
        int tokens = rowCounts.Max();
        using Gpu.RandomWeights random = new(format, (long)shape.Vocabulary * shape.Hidden);
        using Weight table = backend.LoadEmbedding(random.Matrix("table", shape.Vocabulary, shape.Hidden), alsoLinear: false);
        using TorchTensors peerTable = new(1, ScalarType.BFloat16, shape.Vocabulary, shape.Hidden);
        Random ids = new(1);
        const int Variants = 64;
        ForwardBatch[] batches = [.. Enumerable.Range(0, Variants).Select(_ => Batch(ids, tokens))];
        TorchTensor[] peerIds = [.. batches.Select(batch => tensor([.. batch.TokenIds.ToArray().Select(id => (long)id)]))];
        yield return new OperationCase("Embed", $"{format} [{tokens} × {shape.Hidden}]", Variants, Run)
        {
            Bytes = tokens * (format.Bytes(shape.Hidden) + (double)sizeof(float) * shape.Hidden),
            PeerName = "PyTorch BF16 index_select",
            Peer = variant => peerTable[0].index_select(0, peerIds[variant]).Dispose(),
        };
        Array.ForEach(peerIds, each => each.Dispose());

        void Run(int variant)
        {
            backend.ResetStep();
            backend.Embed(batches[variant], table);
        }
    }

    private ForwardBatch Batch(Random random, int tokens)
    {
        int blocks = (tokens + 15) / 16;
        ForwardBatch batch = new(tokens, 1, blocks);
        batch.Add([.. Enumerable.Range(0, tokens).Select(_ => random.Next(shape.Vocabulary))], 0, new int[blocks], blockSize: 16, tokens);
        return batch;
    }

    private static void Norm(TorchTensor x, TorchTensor gain)
    {
        using TorchTensor squares = x.pow(Two);
        using TorchTensor mean = squares.mean([-1], keepdim: true);
        using TorchTensor shifted = mean.add(TorchEpsilon);
        using TorchTensor scale = shifted.rsqrt();
        using TorchTensor scaled = x.mul(scale);
        gain.mul(scaled).Dispose();
    }
}
