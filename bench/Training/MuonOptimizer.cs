using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace LlamaServe.Bench.Training;

/// <summary>
/// Muon for the layers' matrices, AdamW for the embedding and the norms, with one learning rate for both: Muon's
/// update is scaled to AdamW's usual root mean square (Jordan 2024; Liu et al. 2025, arXiv:2502.16982).
/// </summary>
internal sealed class MuonOptimizer
{
    private const float Momentum = 0.95f, Beta1 = 0.9f, Beta2 = 0.95f, WeightDecay = 0.1f, Epsilon = 1e-8f;
    private const float MaxGradientNorm = 1f;
    private const int NewtonSchulzSteps = 5;

    private readonly List<(Parameter Parameter, Tensor Average, Tensor? Square)> _slots = [];
    private readonly Dictionary<string, Tensor> _state = [];
    private readonly ScalarType _computeType;

    public MuonOptimizer(SortedDictionary<string, Parameter> parameters, ScalarType computeType)
    {
        _computeType = computeType;
        foreach ((string name, Parameter parameter) in parameters)
        {
            bool orthogonalized = name.EndsWith("_proj.weight", StringComparison.Ordinal);
            Tensor average = _state["average." + name] = zeros_like(parameter);
            Tensor? square = orthogonalized ? null : _state["square." + name] = zeros_like(parameter);
            _slots.Add((parameter, average, square));
        }
    }

    /// <summary>The moments by name, to be stored with the parameters in a checkpoint.</summary>
    public IReadOnlyDictionary<string, Tensor> State => _state;

    /// <summary>Clips the gradients to norm 1, updates every parameter, and clears the gradients.</summary>
    /// <param name="learningRate">Factor of the update, for all parameters.</param>
    /// <param name="step">1 for the first update; AdamW's bias correction depends on it.</param>
    public void Step(float learningRate, int step)
    {
        using IDisposable noGradient = no_grad();
        nn.utils.clip_grad_norm_(_slots.Select(slot => slot.Parameter), MaxGradientNorm);
        foreach ((Parameter parameter, Tensor average, Tensor? square) in _slots)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor gradient = parameter.grad!;
            Tensor update = square is null ? Orthogonalized(gradient, average) : Adam(gradient, average, square, step);
            if (parameter.dim() == 2)
            {
                parameter.mul_(1 - learningRate * WeightDecay);
            }
            parameter.add_(update, alpha: -learningRate);
            gradient.zero_();
        }
    }

    private static Tensor Adam(Tensor gradient, Tensor average, Tensor square, int step)
    {
        average.mul_(Beta1).add_(gradient, alpha: 1 - Beta1);
        square.mul_(Beta2).addcmul_(gradient, gradient, 1 - Beta2);
        Tensor deviation = (square / (1 - Math.Pow(Beta2, step))).sqrt() + Epsilon;
        return average / (1 - Math.Pow(Beta1, step)) / deviation;
    }

    // Newton-Schulz iteration on the Nesterov momentum: drives all singular values towards 1.
    private Tensor Orthogonalized(Tensor gradient, Tensor average)
    {
        average.mul_(Momentum).add_(gradient);
        Tensor x = (gradient + average * Momentum).to_type(_computeType);
        bool tall = x.shape[0] > x.shape[1];
        x = tall ? x.t() : x;
        x = x / (x.norm() + 1e-7f);
        for (int i = 0; i < NewtonSchulzSteps; i++)
        {
            Tensor gram = x.mm(x.t());
            Tensor polynomial = -4.7750f * gram + 2.0315f * gram.mm(gram);
            x = 3.4445f * x + polynomial.mm(x);
        }
        float scale = 0.2f * MathF.Sqrt(Math.Max(x.shape[0], x.shape[1]));
        return (tall ? x.t() : x).to_type(ScalarType.Float32) * scale;
    }
}
