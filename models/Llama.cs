using LlamaServe.Kernels;
using LlamaServe.Models.Checkpoints;
using LlamaServe.Models.Layers;

namespace LlamaServe.Models;

// Path 8/9: the model, in the paper's order, written once for all backends.

/// <summary>Llama 2, 3, 3.1 and 3.2 (arXiv:2307.09288, arXiv:2407.21783), and the frame of its siblings.</summary>
internal class Llama : CausalLm
{
    /// <summary>The tensors of a layer.</summary>
    public static readonly TensorRole[] LayerTensors =
    [
        TensorRole.AttentionNorm, TensorRole.Query, TensorRole.Key, TensorRole.Value, TensorRole.AttentionOutput,
        TensorRole.MlpNorm, TensorRole.Gate, TensorRole.Up, TensorRole.Down,
    ];

    private readonly Embedding _embedding;
    private readonly LlamaLayer[] _layers;
    private readonly RmsNorm _norm;
    private readonly Linear _head;

    public Llama(WeightLoader weights)
        : this(weights, LoadAttention)
    {
    }

    /// <param name="loadAttention">Makes the attention of a layer: where the siblings differ.</param>
    protected Llama(WeightLoader weights, Func<WeightLoader, int, Attention> loadAttention)
        : base(weights.Config, weights.Backend, weights.Loaded)
    {
        Weight table = weights.Embedding();
        _embedding = new Embedding(Backend, table);
        _layers = new LlamaLayer[Config.Layers];
        for (int i = 0; i < _layers.Length; i++)
        {
            _layers[i] = new LlamaLayer(
                weights.Norm(i, TensorRole.AttentionNorm), loadAttention(weights, i), weights.Norm(i, TensorRole.MlpNorm), LoadMlp(weights, i));
        }
        _norm = weights.Norm(0, TensorRole.OutputNorm);
        _head = new Linear(Backend, Config.TiedEmbeddings ? table : weights.Matrix(0, TensorRole.Output));
    }

    public override Tensor Forward(ForwardBatch batch, KvCache cache)
    {
        Tensor x = _embedding.Forward(batch);
        foreach (LlamaLayer layer in _layers)
        {
            Backend.BeginLayer();
            x = layer.Forward(x, batch, cache);
        }
        return _head.Forward(_norm.Forward(Backend.GatherRows(x, batch)));
    }

    private static Attention LoadAttention(WeightLoader weights, int layer) => new(
        weights.Backend, weights.Config.AttentionShape(layer), weights.Config.Rope, layer,
        new Linear(weights.Backend, weights.Matrix(layer, TensorRole.Query, TensorRole.Key, TensorRole.Value)),
        new Linear(weights.Backend, weights.Matrix(layer, TensorRole.AttentionOutput)));

    private static IMlp LoadMlp(WeightLoader weights, int layer) => weights.Config.IsSparse(layer) ? LoadExperts(weights, layer) : new GatedMlp(
        weights.Backend,
        weights.GatedMatrix(layer, TensorRole.Gate, TensorRole.Up),
        new Linear(weights.Backend, weights.Matrix(layer, TensorRole.Down)));

    private static MixtureOfExperts LoadExperts(WeightLoader weights, int layer) => new(
        weights.Backend, weights.Config.Experts!,
        weights.Matrix(layer, TensorRole.Router),
        weights.Experts(layer, TensorRole.ExpertGate, TensorRole.ExpertUp),
        weights.Experts(layer, TensorRole.ExpertDown));

    private sealed class LlamaLayer(RmsNorm attentionNorm, Attention attention, RmsNorm mlpNorm, IMlp mlp)
    {
        public Tensor Forward(Tensor x, ForwardBatch batch, KvCache cache)
        {
            x = attention.Forward(attentionNorm.Forward(x), residual: x, batch, cache);
            return mlp.Forward(mlpNorm.Forward(x), residual: x);
        }
    }
}
