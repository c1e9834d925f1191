using LlamaServe.Models.Quantization;
using LlamaServe.Models.Weights;

namespace LlamaServe.Bench.Gpu;

/// <summary>Gives every matrix of the layers the scales of random weights.</summary>
internal sealed class RandomScheme(RandomWeights weights) : QuantizationScheme
{
    public override bool Holds(TensorArchive archive, string module) => true;

    public override IEnumerable<RequiredTensor> Tensors(string module, int rows, int columns) =>
        [new RequiredTensor(module + ".weight", [[rows, columns]], [weights.Format])];

    public override StoredMatrix Read(TensorArchive archive, string module, int rows, int columns) =>
        new(weights.Matrix(module, rows, columns), [archive.Get(module + ".weight")]);
}
