using LlamaServe.Kernels;
using LlamaServe.Models.Configuration;

namespace LlamaServe.Models.Layers;

/// <summary>
/// Σ weight · down(silu(gate(x)) · up(x)) over a token's experts (arXiv:2401.04088); an expert's gate and up are one matrix, rows stacked.
/// </summary>
internal sealed class MixtureOfExperts(IBackend backend, ExpertConfig config, Weight router, Weight gateUp, Weight down) : IMlp
{
    public Tensor Forward(Tensor x, Tensor residual)
    {
        ExpertRouting routing = backend.Route(x, router, config.PerToken, config.NormalizesWeights);
        Tensor rows = backend.GatedActivation(backend.ExpertLinear(x, gateUp, routing));
        return backend.CombineExperts(rows, down, routing, residual);
    }
}
