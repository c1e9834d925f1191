using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace LlamaServe.Bench.Training;

/// <summary>The shape of a Llama, in the words of its <c>config.json</c>.</summary>
public sealed record LlamaShape(
    int VocabularySize, int HiddenSize, int Layers, int Heads, int KeyValueHeads, int IntermediateSize, int MaxPositions)
{
    public float RopeTheta { get; init; } = 10_000f;

    public float NormEpsilon { get; init; } = 1e-5f;

    public int HeadSize => HiddenSize / Heads;
}

/// <summary>
/// A Llama with tied embeddings as plain tensor arithmetic (Touvron et al. 2023, arXiv:2302.13971; grouped-query
/// attention: arXiv:2305.13245). Parameters are FP32 and carry the names of the Hugging Face checkpoint.
/// </summary>
public sealed class TorchLlama : IDisposable
{
    private const string Embedding = "model.embed_tokens.weight";
    private const string FinalNorm = "model.norm.weight";

    private readonly ScalarType _computeType;
    private readonly double _dropout;
    private readonly Tensor _cos;
    private readonly Tensor _sin;

    /// <param name="shape">Sizes of all parameters.</param>
    /// <param name="computeType">Type of activations and of the weights' copies in matrix products.</param>
    /// <param name="dropout">Probability that an element of a residual branch's output is zeroed while training.</param>
    public TorchLlama(LlamaShape shape, ScalarType computeType, double dropout)
    {
        (Shape, _computeType, _dropout) = (shape, computeType, dropout);
        (_cos, _sin) = RotaryTables(shape, computeType);
        AddParameters();
    }

    /// <summary>Sizes of all parameters.</summary>
    public LlamaShape Shape { get; }

    /// <summary>All parameters by checkpoint name; matrices are [outputs, inputs].</summary>
    public SortedDictionary<string, Parameter> Parameters { get; } = new(StringComparer.Ordinal);

    /// <summary>True while training, when dropout applies.</summary>
    public bool Training { get; set; }

    /// <summary>[sequences, length] token ids to [sequences, length, vocabulary] FP32 logits.</summary>
    public Tensor Forward(Tensor tokens)
    {
        // Rows are gathered in FP32: their gradients are summed over all occurrences of a token.
        Tensor rows = Parameters[Embedding].index_select(0, tokens.view(-1)).view(tokens.shape[0], tokens.shape[1], -1);
        Tensor hidden = Dropout(rows.to_type(_computeType));
        for (int layer = 0; layer < Shape.Layers; layer++)
        {
            string prefix = $"model.layers.{layer}.";
            hidden = hidden + Dropout(Attention(prefix, Norm(hidden, prefix + "input_layernorm.weight")));
            hidden = hidden + Dropout(Mlp(prefix, Norm(hidden, prefix + "post_attention_layernorm.weight")));
        }
        return Linear(Embedding, Norm(hidden, FinalNorm)).to_type(ScalarType.Float32);
    }

    /// <summary>Mean cross-entropy in nats of the targets [sequences, length] after the inputs of the same shape.</summary>
    public Tensor Loss(Tensor inputs, Tensor targets) =>
        functional.cross_entropy(Forward(inputs).view(-1, Shape.VocabularySize), targets.view(-1));

    public void Dispose()
    {
        foreach (Parameter parameter in Parameters.Values)
        {
            parameter.Dispose();
        }
        _cos.Dispose();
        _sin.Dispose();
    }

    private Tensor Attention(string prefix, Tensor x)
    {
        prefix += "self_attn.";
        Tensor query = Rotate(SplitHeads(Linear(prefix + "q_proj.weight", x), Shape.Heads));
        Tensor key = Rotate(SplitHeads(Linear(prefix + "k_proj.weight", x), Shape.KeyValueHeads));
        Tensor value = SplitHeads(Linear(prefix + "v_proj.weight", x), Shape.KeyValueHeads);
        int group = Shape.Heads / Shape.KeyValueHeads;
        Tensor mixed = functional.scaled_dot_product_attention(
            query, key.repeat_interleave(group, 1), value.repeat_interleave(group, 1), null, 0.0, true);
        return Linear(prefix + "o_proj.weight", mixed.transpose(1, 2).reshape(x.shape[0], x.shape[1], -1));
    }

    private Tensor Mlp(string prefix, Tensor x)
    {
        prefix += "mlp.";
        Tensor gate = functional.silu(Linear(prefix + "gate_proj.weight", x));
        return Linear(prefix + "down_proj.weight", gate * Linear(prefix + "up_proj.weight", x));
    }

    private Tensor Norm(Tensor x, string name)
    {
        Tensor wide = x.to_type(ScalarType.Float32);
        Tensor scale = (wide.square().mean([-1], keepdim: true) + Shape.NormEpsilon).rsqrt();
        return (wide * scale * Parameters[name]).to_type(_computeType);
    }

    private Tensor Linear(string name, Tensor x) => functional.linear(x, Parameters[name].to_type(_computeType));

    private Tensor Dropout(Tensor x) => Training && _dropout > 0 ? functional.dropout(x, _dropout, true) : x;

    // [sequences, length, heads * size] -> [sequences, heads, length, size]
    private Tensor SplitHeads(Tensor x, int heads) =>
        x.view(x.shape[0], x.shape[1], heads, Shape.HeadSize).transpose(1, 2);

    // Half-split rotation: element i pairs with element i + size/2, as in Hugging Face checkpoints.
    private Tensor Rotate(Tensor x)
    {
        Tensor cos = _cos.narrow(0, 0, x.shape[2]), sin = _sin.narrow(0, 0, x.shape[2]);
        Tensor[] halves = x.chunk(2, -1);
        return x * cos + cat([-halves[1], halves[0]], -1) * sin;
    }

    private static (Tensor Cos, Tensor Sin) RotaryTables(LlamaShape shape, ScalarType type)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor pair = arange(0, shape.HeadSize, 2, ScalarType.Float32) / shape.HeadSize;
        Tensor angle = outer(arange(shape.MaxPositions, ScalarType.Float32), pow(shape.RopeTheta, -pair)).repeat(1, 2);
        return (angle.cos().to_type(type).MoveToOuterDisposeScope(), angle.sin().to_type(type).MoveToOuterDisposeScope());
    }

    private void AddParameters()
    {
        int hidden = Shape.HiddenSize, keyValue = Shape.KeyValueHeads * Shape.HeadSize, wide = Shape.IntermediateSize;
        // Branch outputs start smaller, so that the residual stream's variance does not grow with depth (GPT-2).
        const double Deviation = 0.02;
        double branch = Deviation / Math.Sqrt(2 * Shape.Layers);
        AddMatrix(Embedding, Shape.VocabularySize, hidden, Deviation);
        AddNorm(FinalNorm);
        for (int layer = 0; layer < Shape.Layers; layer++)
        {
            string prefix = $"model.layers.{layer}.";
            AddNorm(prefix + "input_layernorm.weight");
            AddNorm(prefix + "post_attention_layernorm.weight");
            AddMatrix(prefix + "self_attn.q_proj.weight", hidden, hidden, Deviation);
            AddMatrix(prefix + "self_attn.k_proj.weight", keyValue, hidden, Deviation);
            AddMatrix(prefix + "self_attn.v_proj.weight", keyValue, hidden, Deviation);
            AddMatrix(prefix + "self_attn.o_proj.weight", hidden, hidden, branch);
            AddMatrix(prefix + "mlp.gate_proj.weight", wide, hidden, Deviation);
            AddMatrix(prefix + "mlp.up_proj.weight", wide, hidden, Deviation);
            AddMatrix(prefix + "mlp.down_proj.weight", hidden, wide, branch);
        }
    }

    private void AddMatrix(string name, int outputs, int inputs, double deviation) =>
        Parameters.Add(name, new Parameter(normal(0, deviation, [outputs, inputs])));

    private void AddNorm(string name) => Parameters.Add(name, new Parameter(ones(Shape.HiddenSize)));
}
