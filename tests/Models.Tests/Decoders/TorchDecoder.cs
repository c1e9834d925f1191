using LlamaServe.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaServe.Models.Tests.Decoders;

/// <summary>
/// The decoders once more, in plain torch operations and double precision: whole sequences, no cache, explicit masks.
/// Written from the papers and shares nothing with the code under test.
/// </summary>
internal sealed class TorchDecoder(TinySnapshot snapshot)
{
    private readonly TinyModel _model = snapshot.Model;

    /// <summary>Every scalar given to torch: TorchSharp lets go of one while libtorch reads it, and a collection just then frees it.</summary>
    private readonly List<Scalar> _scalars = [];

    /// <returns>[tokens.Length · vocabulary] logits of every position, row by row.</returns>
    public double[] Logits(ReadOnlySpan<int> tokens)
    {
        using IDisposable scope = NewDisposeScope();
        Tensor ids = tensor(Array.ConvertAll(tokens.ToArray(), id => (long)id));
        Tensor x = Weight("model.embed_tokens.weight").index_select(0, ids);
        for (int i = 0; i < _model.Layers; i++)
        {
            string layer = $"model.layers.{i}.";
            x += Attention(Norm(x, Weight(layer + "input_layernorm.weight")), layer + "self_attn.");
            Tensor normed = Norm(x, Weight(layer + "post_attention_layernorm.weight"));
            x += _model.IsSparse(i) ? Mixture(normed, layer) : Mlp(normed, layer + "mlp.");
        }
        x = Norm(x, Weight("model.norm.weight"));
        return x.matmul(Weight(_model.Tied ? "model.embed_tokens.weight" : "lm_head.weight").t()).data<double>().ToArray();
    }

    /// <returns>[head dim / 2] radians a position.</returns>
    public static double[] Frequencies(TinyModel model)
    {
        double[] frequencies = new double[model.HeadDim / 2];
        for (int i = 0; i < frequencies.Length; i++)
        {
            frequencies[i] = 1 / Math.Pow(model.RopeTheta, 2.0 * i / model.HeadDim);
            if (model.Llama3Scaling is { } scaling)
            {
                double wavelength = 2 * Math.PI / frequencies[i];
                double longest = scaling.OriginalContext / scaling.Low, shortest = scaling.OriginalContext / scaling.High;
                if (wavelength > longest)
                {
                    frequencies[i] /= scaling.Factor;
                }
                else if (wavelength > shortest)
                {
                    double smooth = (scaling.OriginalContext / wavelength - scaling.Low) / (scaling.High - scaling.Low);
                    frequencies[i] = (1 - smooth) * frequencies[i] / scaling.Factor + smooth * frequencies[i];
                }
            }
        }
        return frequencies;
    }

    private Tensor Attention(Tensor x, string name)
    {
        Tensor q = Heads(x, name + "q_proj", _model.Heads);
        Tensor k = Heads(x, name + "k_proj", _model.KvHeads);
        Tensor v = Heads(x, name + "v_proj", _model.KvHeads);
        if (_model.HeadNorms)
        {
            q = Norm(q, Weight(name + "q_norm.weight"));
            k = Norm(k, Weight(name + "k_norm.weight"));
        }
        int group = _model.Heads / _model.KvHeads;
        k = Rotate(k).repeat_interleave(group, dim: 0);
        v = v.repeat_interleave(group, dim: 0);
        Tensor scores = Rotate(q).matmul(k.transpose(1, 2)) / Kept(Math.Sqrt(_model.HeadDim));
        scores = scores.masked_fill(Hidden(x.shape[0]), Kept(double.NegativeInfinity));
        Tensor mixed = nn.functional.softmax(scores, dim: -1).matmul(v);
        return mixed.transpose(0, 1).reshape(x.shape[0], _model.Heads * _model.HeadDim).matmul(Weight(name + "o_proj.weight").t());
    }

    // [heads, tokens, head dim]
    private Tensor Heads(Tensor x, string name, int heads)
    {
        Tensor rows = x.matmul(Weight(name + ".weight").t());
        if (_model.QkvBias)
        {
            rows += Weight(name + ".bias");
        }
        return rows.reshape(x.shape[0], heads, _model.HeadDim).transpose(0, 1);
    }

    // [tokens, tokens]: true where the column's token lies after the row's, or before its window.
    private Tensor Hidden(long tokens)
    {
        Tensor distance = Positions(tokens).unsqueeze(1) - Positions(tokens).unsqueeze(0);
        Tensor later = distance.lt(Kept(0));
        return _model.SlidingWindow > 0 ? later.logical_or(distance.ge(Kept(_model.SlidingWindow))) : later;
    }

    private static Tensor Positions(long tokens) => tensor([.. Enumerable.Range(0, (int)tokens).Select(position => (double)position)]);

    private Scalar Kept(Scalar scalar)
    {
        _scalars.Add(scalar);
        return scalar;
    }

    private Tensor Rotate(Tensor heads)
    {
        Tensor angles = Positions(heads.shape[1]).unsqueeze(1) * tensor(Frequencies(_model)).unsqueeze(0);
        Tensor cos = angles.cos(), sin = angles.sin();
        int half = _model.HeadDim / 2;
        Tensor first = heads.narrow(-1, 0, half), second = heads.narrow(-1, half, half);
        return cat([first * cos - second * sin, second * cos + first * sin], dim: -1);
    }

    private Tensor Mlp(Tensor x, string name, string gateName = "gate_proj", string upName = "up_proj", string downName = "down_proj")
    {
        Tensor gate = x.matmul(Weight($"{name}{gateName}.weight").t());
        Tensor up = x.matmul(Weight($"{name}{upName}.weight").t());
        return (gate * gate.sigmoid() * up).matmul(Weight($"{name}{downName}.weight").t());
    }

    // Every expert for every token, weighted with zero where it was not chosen.
    private Tensor Mixture(Tensor x, string layer)
    {
        bool isMixtral = _model.ModelType == "mixtral";
        string name = layer + (isMixtral ? "block_sparse_moe." : "mlp.");
        Tensor likely = nn.functional.softmax(x.matmul(Weight(name + "gate.weight").t()), dim: -1);
        (Tensor chosen, Tensor indices) = likely.topk(_model.ExpertsPerToken, dim: -1);
        if (_model.NormalizesExperts)
        {
            chosen /= chosen.sum(dim: -1, keepdim: true);
        }
        Tensor weights = zeros_like(likely).scatter(-1, indices, chosen);
        Tensor sum = zeros_like(x);
        for (int expert = 0; expert < _model.Experts; expert++)
        {
            string own = $"{name}experts.{expert}.";
            sum += weights.narrow(-1, expert, 1) * (isMixtral ? Mlp(x, own, "w1", "w3", "w2") : Mlp(x, own));
        }
        return sum;
    }

    private Tensor Norm(Tensor x, Tensor gain) => x * (x.square().mean([-1], keepdim: true) + Kept(_model.RmsNormEpsilon)).rsqrt() * gain;

    private Tensor Weight(string name)
    {
        TinyTensor stored = snapshot.Tensors[name];
        return tensor(stored.Values, dtype: float64).reshape(Array.ConvertAll(stored.Shape, size => (long)size));
    }
}
