using LlamaServe.Models.Weights;
using TorchSharp.Modules;
using static TorchSharp.torch;
using WeightFormat = LlamaServe.Kernels.WeightFormat;

namespace LlamaServe.Bench.Training;

/// <summary>Fills a <see cref="TorchLlama"/> from a checkpoint.</summary>
public static class TorchLlamaWeights
{
    /// <summary>Replaces all parameters by the checkpoint's tensors of the same names.</summary>
    /// <exception cref="CheckpointException">One is missing or of another shape.</exception>
    /// <exception cref="NotSupportedException">One is stored quantized.</exception>
    public static void Load(this TorchLlama model, TensorArchive checkpoint)
    {
        using IDisposable noGradient = no_grad();
        foreach ((string name, Parameter parameter) in model.Parameters)
        {
            TensorSource stored = checkpoint.Get(name);
            long[] shape = parameter.shape;
            _ = shape.Length == 2 ? stored.AsMatrix((int)shape[0], (int)shape[1]) : stored.AsVector((int)shape[0]);
            using Tensor values = Read(stored);
            parameter.copy_(values);
        }
    }

    private static unsafe Tensor Read(TensorSource stored)
    {
        ScalarType type = stored.Format switch
        {
            WeightFormat.F32 => ScalarType.Float32,
            WeightFormat.F16 => ScalarType.Float16,
            WeightFormat.BF16 => ScalarType.BFloat16,
            _ => throw new NotSupportedException($"{stored.Name} is stored as {stored.Format}."),
        };
        Tensor values = empty(stored.Shape, type);
        values.bytes = new Span<byte>((void*)stored.Address, checked((int)stored.ByteLength));
        return values;
    }
}
