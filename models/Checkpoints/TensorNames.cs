using System.Globalization;
using LlamaServe.Models.Configuration;

namespace LlamaServe.Models.Checkpoints;

/// <summary>What a kind of checkpoint calls its tensors, and which others it may carry that are not needed.</summary>
/// <param name="prefix">Stands before a layer's index.</param>
/// <param name="names">
/// Name of each role; the layer's roles without prefix and index. An expert's role has <see cref="Expert"/> in place of the expert's
/// index, or else one tensor for all experts.
/// </param>
/// <param name="isHarmless">Whether a tensor of no role may be left unread.</param>
internal sealed class TensorNames(string prefix, Dictionary<TensorRole, string> names, Func<string, bool> isHarmless)
{
    private const string Expert = "{expert}";

    /// <summary>Names in Hugging Face snapshots. Old ones carry the rotary frequencies, which follow from the configuration.</summary>
    public static readonly TensorNames HuggingFace = new("model.layers.", new()
    {
        [TensorRole.Embedding] = "model.embed_tokens.weight",
        [TensorRole.OutputNorm] = "model.norm.weight",
        [TensorRole.Output] = "lm_head.weight",
        [TensorRole.AttentionNorm] = "input_layernorm.weight",
        [TensorRole.Query] = "self_attn.q_proj.weight",
        [TensorRole.Key] = "self_attn.k_proj.weight",
        [TensorRole.Value] = "self_attn.v_proj.weight",
        [TensorRole.QueryBias] = "self_attn.q_proj.bias",
        [TensorRole.KeyBias] = "self_attn.k_proj.bias",
        [TensorRole.ValueBias] = "self_attn.v_proj.bias",
        [TensorRole.QueryNorm] = "self_attn.q_norm.weight",
        [TensorRole.KeyNorm] = "self_attn.k_norm.weight",
        [TensorRole.AttentionOutput] = "self_attn.o_proj.weight",
        [TensorRole.MlpNorm] = "post_attention_layernorm.weight",
        [TensorRole.Gate] = "mlp.gate_proj.weight",
        [TensorRole.Up] = "mlp.up_proj.weight",
        [TensorRole.Down] = "mlp.down_proj.weight",
        [TensorRole.Router] = "mlp.gate.weight",
        [TensorRole.ExpertGate] = $"mlp.experts.{Expert}.gate_proj.weight",
        [TensorRole.ExpertUp] = $"mlp.experts.{Expert}.up_proj.weight",
        [TensorRole.ExpertDown] = $"mlp.experts.{Expert}.down_proj.weight",
    }, name => name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal) || name == "lm_head.weight");

    /// <summary>Names in Mixtral's snapshots.</summary>
    private static readonly TensorNames Mixtral = HuggingFace.With(new()
    {
        [TensorRole.Router] = "block_sparse_moe.gate.weight",
        [TensorRole.ExpertGate] = $"block_sparse_moe.experts.{Expert}.w1.weight",
        [TensorRole.ExpertUp] = $"block_sparse_moe.experts.{Expert}.w3.weight",
        [TensorRole.ExpertDown] = $"block_sparse_moe.experts.{Expert}.w2.weight",
    });

    /// <summary>Names in GGUF files, where all experts of a layer share a tensor. The rotary factors are read with the configuration.</summary>
    public static readonly TensorNames Gguf = new("blk.", new()
    {
        [TensorRole.Embedding] = "token_embd.weight",
        [TensorRole.OutputNorm] = "output_norm.weight",
        [TensorRole.Output] = "output.weight",
        [TensorRole.AttentionNorm] = "attn_norm.weight",
        [TensorRole.Query] = "attn_q.weight",
        [TensorRole.Key] = "attn_k.weight",
        [TensorRole.Value] = "attn_v.weight",
        [TensorRole.QueryBias] = "attn_q.bias",
        [TensorRole.KeyBias] = "attn_k.bias",
        [TensorRole.ValueBias] = "attn_v.bias",
        [TensorRole.QueryNorm] = "attn_q_norm.weight",
        [TensorRole.KeyNorm] = "attn_k_norm.weight",
        [TensorRole.AttentionOutput] = "attn_output.weight",
        [TensorRole.MlpNorm] = "ffn_norm.weight",
        [TensorRole.Gate] = "ffn_gate.weight",
        [TensorRole.Up] = "ffn_up.weight",
        [TensorRole.Down] = "ffn_down.weight",
        [TensorRole.Router] = "ffn_gate_inp.weight",
        [TensorRole.ExpertGate] = "ffn_gate_exps.weight",
        [TensorRole.ExpertUp] = "ffn_up_exps.weight",
        [TensorRole.ExpertDown] = "ffn_down_exps.weight",
    }, name => name == RopeFactors);

    /// <summary>The GGUF tensor that divides the rotary frequencies (Llama 3.1).</summary>
    public const string RopeFactors = "rope_freqs.weight";

    /// <summary>Names in snapshots of an architecture.</summary>
    public static TensorNames OfSnapshot(Architecture architecture) => architecture == Architecture.Mixtral ? Mixtral : HuggingFace;

    /// <summary>The name of a layer's tensor, or of one outside the layers, whose <paramref name="layer"/> is of no account.</summary>
    /// <param name="expert">Of no account where experts have no tensors of their own.</param>
    public string Name(TensorRole role, int layer, int expert = 0) => IsOfLayer(role)
        ? string.Create(CultureInfo.InvariantCulture, $"{prefix}{layer}.{names[role]}").Replace(Expert, expert.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal)
        : names[role];

    /// <summary>Whether the role's tensors of all experts of a layer are one, stacked.</summary>
    public bool IsStacked(TensorRole role) => role.IsOfExpert() && !names[role].Contains(Expert, StringComparison.Ordinal);

    public bool IsHarmless(string name) => isHarmless(name);

    private TensorNames With(Dictionary<TensorRole, string> own) =>
        new(prefix, names.Where(name => !own.ContainsKey(name.Key)).Concat(own).ToDictionary(), isHarmless);

    public static bool IsOfLayer(TensorRole role) =>
        role is not (TensorRole.Embedding or TensorRole.OutputNorm or TensorRole.Output);
}
