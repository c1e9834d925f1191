using LlamaServe.Kernels;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Quantization;

/// <summary>
/// INT8 or FP8 matrices [outputs, inputs] with a scale for each output or for all, as compressed-tensors' "int-quantized" and
/// "float-quantized" store them.
/// </summary>
/// <param name="format">Int8, Int8Dynamic or Fp8.</param>
internal sealed unsafe class ChannelScheme(WeightFormat format) : QuantizationScheme
{
    /// <summary>What a file's tensor has.</summary>
    private WeightFormat Stored => format == WeightFormat.Fp8 ? WeightFormat.Fp8 : WeightFormat.Int8;

    public override bool Holds(TensorArchive archive, string module) =>
        archive.TryGet(module + ".weight", out TensorSource? weight) && weight.Format == Stored;

    public override IEnumerable<RequiredTensor> Tensors(string module, int rows, int columns)
    {
        yield return new RequiredTensor(module + ".weight", [[rows, columns]], [Stored]);
        yield return new RequiredTensor(module + ".weight_scale", [[rows, 1], [rows], [1], [1, 1], []], RequiredTensor.Floats);
    }

    public override StoredMatrix Read(TensorArchive archive, string module, int rows, int columns)
    {
        TensorSource weight = archive.Get(module + ".weight"), scale = archive.Get(module + ".weight_scale");
        StoredMatrix matrix = new(new WeightData(weight.Name, format, rows, columns, weight.Address), [weight, scale]);
        float* scales = (float*)matrix.Allocate((long)rows * sizeof(float));
        int stored = scale.Shape.Length > 0 && scale.Shape[0] == rows ? rows : 1;
        Transpose(scale, stored, 1, scales);
        new Span<float>(scales + stored, rows - stored).Fill(*scales);
        matrix.Data = matrix.Data with { Scales = (nint)scales };
        return matrix;
    }
}
