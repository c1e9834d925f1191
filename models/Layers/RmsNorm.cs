using LlamaServe.Kernels;

namespace LlamaServe.Models.Layers;

/// <summary>Root mean square normalisation with a gain (arXiv:1910.07467).</summary>
internal sealed class RmsNorm(IBackend backend, Weight gain, float epsilon)
{
    public Tensor Forward(Tensor x) => backend.RmsNorm(x, gain, epsilon);
}
