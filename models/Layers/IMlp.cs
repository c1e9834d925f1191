using LlamaServe.Kernels;

namespace LlamaServe.Models.Layers;

/// <summary>The part of a layer that works on each token by itself.</summary>
internal interface IMlp
{
    /// <returns>[x.Rows, hidden], <paramref name="residual"/> added.</returns>
    Tensor Forward(Tensor x, Tensor residual);
}
