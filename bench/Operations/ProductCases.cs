using LlamaServe.Bench.Gpu;
using LlamaServe.Bench.Machine;
using LlamaServe.Bench.Models;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cpu;
using static TorchSharp.torch;
using TorchTensor = TorchSharp.torch.Tensor;

namespace LlamaServe.Bench.Operations;

/// <summary>
/// The products of a Llama's layer and of its logits. The peer multiplies the same shapes in BF16 by oneDNN, whatever our weights
/// are stored as: that is what a model in PyTorch does with them.
/// </summary>
internal sealed class ProductCases(CpuBackend backend, LlamaShape shape, WeightFormat[] formats, int[] rowCounts)
{
    private const string PeerName = "PyTorch BF16 linear";
    private const string GatedPeerName = "PyTorch BF16 linear, silu, mul";

    /// <summary>Outputs and inputs of the plain ones.</summary>
    private (string Name, int Outputs, int Columns)[] Matrices =>
    [
        ("q, k, v", (shape.Heads + 2 * shape.KvHeads) * shape.HeadSize, shape.Hidden),
        ("attention output", shape.Hidden, shape.Heads * shape.HeadSize),
        ("down", shape.Hidden, shape.FeedForward),
        ("logits", shape.Vocabulary, shape.Hidden),
    ];

    public IEnumerable<OperationCase> All()
    {
        foreach ((string name, int outputs, int columns) in Matrices)
        {
            foreach (OperationCase product in Matrix(name, outputs, columns, isGated: false))
            {
                yield return product;
            }
        }

        foreach (OperationCase product in Matrix("gate, up", 2 * shape.FeedForward, shape.Hidden, isGated: true))
        {
            yield return product;
        }
    }

    private IEnumerable<OperationCase> Matrix(string name, int outputs, int columns, bool isGated)
    {
        using TorchTensors peers = new(Activations.Variants(2.0 * outputs * columns), ScalarType.BFloat16, outputs, columns);
        foreach (WeightFormat format in formats)
        {
            using RandomWeights random = new(format, (long)outputs * columns);
            int variants = Math.Max(peers.Count, Activations.Variants(format.Bytes((long)outputs * columns)));
            Weight[] weights = [.. Enumerable.Range(0, variants).Select(_ => Load(random, outputs, columns, isGated))];
            foreach (int rows in rowCounts)
            {
                using Activations x = new(1, rows, columns);
                using TorchTensors peerX = new(1, ScalarType.BFloat16, rows, columns);
                yield return new OperationCase(isGated ? "GatedLinear" : "Linear", $"{format}, {name} [{rows} × {columns} → {outputs}]", variants, Run)
                {
                    Bytes = format.Bytes((long)outputs * columns) + sizeof(float) * (double)rows * (columns + (isGated ? outputs / 2 : outputs)),
                    MultiplyAdds = (double)rows * outputs * columns,
                    Arithmetic = format == WeightFormat.BF16 ? Arithmetic.BFloat16 : format is WeightFormat.F32 or WeightFormat.F16 ? Arithmetic.Float32 : Arithmetic.Int8,
                    PeerName = isGated ? GatedPeerName : PeerName,
                    Peer = variant => Multiply(peerX[0], peers[variant % peers.Count], isGated),
                };

                void Run(int variant)
                {
                    backend.ResetStep();
                    _ = isGated ? backend.GatedLinear(x[0], weights[variant]) : backend.Linear(x[0], weights[variant]);
                }
            }

            Array.ForEach(weights, weight => weight.Dispose());
        }
    }

    private Weight Load(RandomWeights random, int outputs, int columns, bool isGated)
    {
        if (!isGated)
        {
            return backend.LoadLinear([random.Matrix("matrix", outputs, columns)]);
        }

        WeightData half = random.Matrix("half", outputs / 2, columns);
        return backend.LoadGatedLinear([half], [half]);
    }

    private static void Multiply(TorchTensor x, TorchTensor weight, bool isGated)
    {
        using TorchTensor product = nn.functional.linear(x, weight);
        if (isGated)
        {
            TorchTensor[] halves = product.chunk(2, -1);
            using TorchTensor gate = nn.functional.silu(halves[0]);
            using TorchTensor gated = gate.mul(halves[1]);
            Array.ForEach(halves, half => half.Dispose());
        }
    }
}
