namespace LlamaServe.Kernels.Cuda;

/// <summary>Mixtures of experts, of which this backend has none yet.</summary>
public sealed partial class CudaBackend
{
    private const string NoExperts = "the CUDA backend has no mixtures of experts";

    public Weight LoadExperts(ReadOnlySpan<WeightData> parts, int experts) => throw new ArgumentException(NoExperts);

    public ExpertRouting Route(Tensor x, Weight router, int expertsPerToken, bool renormalize) => throw new ArgumentException(NoExperts);

    public Tensor ExpertLinear(Tensor x, Weight experts, ExpertRouting routing) => throw new ArgumentException(NoExperts);

    public Tensor CombineExperts(Tensor x, Weight experts, ExpertRouting routing, Tensor residual) => throw new ArgumentException(NoExperts);
}
