using LlamaServe.Bench.Models;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cpu;
using LlamaServe.Models.Weights;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace LlamaServe.Bench.Peers;

/// <summary>
/// A Llama as a research script writes it in PyTorch: one sequence at a time, whole tensors, a KV cache that is concatenated with each
/// token's keys and values. No paging, no batching, no kernels of its own; its products and its attention are PyTorch's.
/// </summary>
internal sealed unsafe class NaiveLlama : IDisposable
{
    private const double RopeTheta = 10_000;

    /// <summary>Kept, since TorchSharp lets go of a scalar while libtorch reads it, and a collection just then frees it.</summary>
    private static readonly Scalar Epsilon = 1e-5;

    private readonly LlamaShape _shape;
    private readonly ScalarType _type;
    private readonly Dictionary<string, Tensor> _weights = [];
    private readonly (Tensor Keys, Tensor Values)?[] _cache;
    private readonly Tensor _cos;
    private readonly Tensor _sin;

    /// <param name="path">One of <see cref="RandomLlama"/>'s files; its matrices are decoded to <paramref name="type"/>.</param>
    public NaiveLlama(string path, LlamaShape shape, ScalarType type)
    {
        (_shape, _type) = (shape, type);
        _cache = new (Tensor, Tensor)?[shape.Layers];
        using GgufFile file = GgufFile.Open(path);
        foreach (string name in file.Tensors.Names)
        {
            _weights.Add(name, Decode(file.Tensors.Get(name)));
        }

        using IDisposable scope = NewDisposeScope();
        Tensor pairs = tensor([.. Enumerable.Range(0, shape.HeadSize / 2).Select(pair => (float)Math.Pow(RopeTheta, -2.0 * pair / shape.HeadSize))]);
        Tensor angles = outer(tensor([.. Enumerable.Range(0, shape.Context).Select(position => (float)position)]), pairs);
        (_cos, _sin) = (angles.cos().to(type).MoveToOuterDisposeScope(), angles.sin().to(type).MoveToOuterDisposeScope());
    }

    private long Known => _cache[0]?.Keys.shape[2] ?? 0;

    /// <summary>Computes tokens after those that are known.</summary>
    /// <param name="tokens">A prompt when nothing is known yet, else one token.</param>
    /// <returns>The likeliest next token.</returns>
    public int Next(ReadOnlySpan<int> tokens)
    {
        using IDisposable scope = NewDisposeScope();
        Tensor hidden = _weights["token_embd.weight"].index_select(0, tensor(tokens.ToArray()).to(ScalarType.Int64)).unsqueeze(0);
        long known = Known;
        for (int layer = 0; layer < _shape.Layers; layer++)
        {
            string block = $"blk.{layer}.";
            hidden = hidden + Attention(Norm(hidden, block + "attn_norm.weight"), block, layer, known);
            hidden = hidden + Mlp(Norm(hidden, block + "ffn_norm.weight"), block);
        }

        Tensor last = Norm(hidden.narrow(1, tokens.Length - 1, 1), "output_norm.weight");
        return (int)Linear(last, _shape.Tied ? "token_embd.weight" : "output.weight").argmax(-1).item<long>();
    }

    /// <summary>Forgets the sequence.</summary>
    public void Clear()
    {
        for (int layer = 0; layer < _cache.Length; layer++)
        {
            _cache[layer]?.Keys.Dispose();
            _cache[layer]?.Values.Dispose();
            _cache[layer] = null;
        }
    }

    public void Dispose()
    {
        Clear();
        foreach (Tensor weight in _weights.Values)
        {
            weight.Dispose();
        }

        _cos.Dispose();
        _sin.Dispose();
    }

    private Tensor Attention(Tensor x, string block, int layer, long known)
    {
        Tensor query = Rotate(Split(Linear(x, block + "attn_q.weight"), _shape.Heads), known);
        Tensor key = Rotate(Split(Linear(x, block + "attn_k.weight"), _shape.KvHeads), known);
        Tensor value = Split(Linear(x, block + "attn_v.weight"), _shape.KvHeads);
        if (_cache[layer] is { } cached)
        {
            (key, value) = (cat([cached.Keys, key], 2), cat([cached.Values, value], 2));
            cached.Keys.Dispose();
            cached.Values.Dispose();
        }

        _cache[layer] = (key.DetachFromDisposeScope(), value.DetachFromDisposeScope());
        int group = _shape.Heads / _shape.KvHeads;
        Tensor mixed = nn.functional.scaled_dot_product_attention(
            query, key.repeat_interleave(group, 1), value.repeat_interleave(group, 1), is_casual: known == 0);
        return Linear(mixed.transpose(1, 2).reshape(1, x.shape[1], -1), block + "attn_output.weight");
    }

    private Tensor Mlp(Tensor x, string block) => Linear(
        nn.functional.silu(Linear(x, block + "ffn_gate.weight")) * Linear(x, block + "ffn_up.weight"), block + "ffn_down.weight");

    private Tensor Norm(Tensor x, string name)
    {
        Tensor wide = x.to(ScalarType.Float32);
        Tensor scaled = wide * (wide.square().mean([-1], keepdim: true) + Epsilon).rsqrt();
        return _weights[name] * scaled.to(_type);
    }

    private Tensor Linear(Tensor x, string name) => nn.functional.linear(x, _weights[name]);

    // [1, tokens, heads · size] to [1, heads, tokens, size].
    private Tensor Split(Tensor x, int heads) => x.view(1, x.shape[1], heads, _shape.HeadSize).transpose(1, 2);

    // GGUF's Llamas rotate neighbours: element 2i with element 2i + 1.
    private Tensor Rotate(Tensor x, long known)
    {
        Tensor cos = _cos.narrow(0, known, x.shape[2]), sin = _sin.narrow(0, known, x.shape[2]);
        Tensor[] pair = x.unflatten(3, [_shape.HeadSize / 2, 2]).unbind(4);
        return stack([pair[0] * cos - pair[1] * sin, pair[0] * sin + pair[1] * cos], 4).flatten(3);
    }

    private Tensor Decode(TensorSource source)
    {
        float[] values = new float[source.Shape.Aggregate(1L, (product, size) => product * size)];
        fixed (float* destination = values)
        {
            RowDecoder.Decode(source.Format ?? WeightFormat.F32, (byte*)source.Address, destination, values.Length);
        }

        using Tensor wide = tensor(values, source.Shape);
        return wide.to(_type, copy: true);
    }
}
