using LlamaServe.Kernels;

namespace LlamaServe.Models.Layers;

/// <summary>down(silu(gate(x)) · up(x)), SwiGLU (arXiv:2002.05202); gate and up are one matrix, rows stacked.</summary>
internal sealed class GatedMlp(IBackend backend, Linear gateUp, Linear down) : IMlp
{
    public Tensor Forward(Tensor x, Tensor residual) =>
        down.Forward(backend.GatedActivation(gateUp.Forward(x)), residual);
}
