using LlamaServe.Kernels;

namespace LlamaServe.Models.Layers;

/// <summary>down(silu(gate(x)) · up(x)), SwiGLU (arXiv:2002.05202); gate and up are one weight.</summary>
internal sealed class GatedMlp(IBackend backend, Weight gateUp, Linear down) : IMlp
{
    public Tensor Forward(Tensor x, Tensor residual) => down.Forward(backend.GatedLinear(x, gateUp), residual);
}
