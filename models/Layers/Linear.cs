using LlamaServe.Kernels;

namespace LlamaServe.Models.Layers;

/// <summary>x · Wᵀ (+ bias).</summary>
internal sealed class Linear(IBackend backend, Weight weight, Weight? bias = null)
{
    /// <returns>[x.Rows, weight.Rows], with <paramref name="residual"/> of that shape added where given.</returns>
    public Tensor Forward(Tensor x, Tensor? residual = null) => backend.Linear(x, weight, bias, residual);
}
