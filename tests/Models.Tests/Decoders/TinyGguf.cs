using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using LlamaServe.Models.Tests.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Decoders;

/// <summary>Tiny snapshots once more as GGUF files, as llama.cpp's converter would write them; without a tokenizer.</summary>
internal sealed partial class TinyGguf(TinySnapshot snapshot)
{
    private const uint F32 = 0;
    private const uint Q8_0 = 8;

    private readonly TinyModel _model = snapshot.Model;

    /// <summary>GGUF's architecture: Mistral and Mixtral have none of their own.</summary>
    public string Architecture => _model.ModelType switch
    {
        "mistral" or "mixtral" => "llama",
        "qwen3_moe" => "qwen3moe",
        string type => type,
    };

    /// <summary>Whether a matrix, by its name in the file, is stored as Q8_0 instead of F32.</summary>
    public Func<string, bool> Quantizes { get; init; } = _ => false;

    /// <summary>The values as stored, by the snapshot's names: what a reference has to compute with.</summary>
    public Dictionary<string, TinyTensor> Stored { get; } = new(snapshot.Tensors);

    /// <summary>The key-values, which a test may change before it writes the file.</summary>
    public Dictionary<string, object> Metadata()
    {
        string prefix = Architecture + ".";
        Dictionary<string, object> metadata = new()
        {
            ["general.architecture"] = Architecture,
            [prefix + "context_length"] = (uint)_model.ContextLength,
            [prefix + "embedding_length"] = (uint)_model.HiddenSize,
            [prefix + "block_count"] = (uint)_model.Layers,
            [prefix + "feed_forward_length"] = (uint)_model.IntermediateSize,
            [prefix + "attention.head_count"] = (uint)_model.Heads,
            [prefix + "attention.head_count_kv"] = (uint)_model.KvHeads,
            [prefix + "attention.key_length"] = (uint)_model.HeadDim,
            [prefix + "attention.value_length"] = (uint)_model.HeadDim,
            [prefix + "attention.layer_norm_rms_epsilon"] = (float)_model.RmsNormEpsilon,
            [prefix + "rope.dimension_count"] = (uint)_model.HeadDim,
            [prefix + "rope.freq_base"] = (float)_model.RopeTheta,
            ["tokenizer.ggml.bos_token_id"] = (uint)ByteTokenizer.BosId,
            ["tokenizer.ggml.eos_token_id"] = (uint)ByteTokenizer.EosId,
        };
        if (_model.Experts > 0)
        {
            metadata[prefix + "expert_count"] = (uint)_model.Experts;
            metadata[prefix + "expert_used_count"] = (uint)_model.ExpertsPerToken;
        }
        if (_model.ModelType == "qwen3_moe")
        {
            metadata[prefix + "expert_feed_forward_length"] = (uint)_model.ExpertSize;
        }
        if (_model.SlidingWindow > 0)
        {
            metadata[prefix + "attention.sliding_window"] = (uint)_model.SlidingWindow;
        }
        return metadata;
    }

    /// <returns>The file.</returns>
    public byte[] ToBytes(Dictionary<string, object>? metadata = null)
    {
        GgufWriter writer = new();
        foreach ((string key, object value) in metadata ?? Metadata())
        {
            writer.Key(key, value);
        }
        // A layer's experts come one after the other, and have one name.
        foreach (var tensors in snapshot.Tensors.GroupBy(tensor => Name(tensor.Key)))
        {
            Add(writer, tensors.Key, [.. tensors]);
        }
        if (_model.Llama3Scaling is not null)
        {
            double[] plain = TorchDecoder.Frequencies(_model with { Llama3Scaling = null }), scaled = TorchDecoder.Frequencies(_model);
            float[] factors = [.. plain.Zip(scaled, (frequency, stretched) => (float)(frequency / stretched))];
            writer.Tensor("rope_freqs.weight", F32, [(ulong)factors.Length], MemoryMarshal.AsBytes(factors.AsSpan()).ToArray());
        }
        return writer.ToBytes();
    }

    private void Add(GgufWriter writer, string name, KeyValuePair<string, TinyTensor>[] stacked)
    {
        TinyTensor first = stacked[0].Value;
        float[] values = [.. stacked.SelectMany(tensor => tensor.Value.Values)];
        float[] rows = IsPermuted(name) ? InterleaveHalves(values, first.Shape[1]) : values;
        IEnumerable<int> shape = name.Contains("_exps", StringComparison.Ordinal) ? first.Shape.Prepend(stacked.Length) : first.Shape;
        ulong[] dimensions = [.. shape.Reverse().Select(size => (ulong)size)];
        if (first.Shape.Length == 2 && Quantizes(name))
        {
            writer.Tensor(name, Q8_0, dimensions, Quantize(rows).Blocks);
            Array.ForEach(stacked, tensor => Stored[tensor.Key] = tensor.Value with { Values = Quantize(tensor.Value.Values).Rounded });
            return;
        }
        writer.Tensor(name, F32, dimensions, MemoryMarshal.AsBytes(rows.AsSpan()).ToArray());
    }

    private bool IsPermuted(string name) => Architecture == "llama"
        && (name.EndsWith("attn_q.weight", StringComparison.Ordinal) || name.EndsWith("attn_k.weight", StringComparison.Ordinal));

    // Rows i and i + d/2 of each head become rows 2i and 2i + 1.
    private float[] InterleaveHalves(float[] values, int columns)
    {
        float[] permuted = new float[values.Length];
        int rows = values.Length / columns, half = _model.HeadDim / 2;
        for (int row = 0; row < rows; row++)
        {
            int head = row / _model.HeadDim, inHead = row % _model.HeadDim;
            int target = head * _model.HeadDim + (inHead < half ? 2 * inHead : 2 * (inHead - half) + 1);
            values.AsSpan(row * columns, columns).CopyTo(permuted.AsSpan(target * columns));
        }
        return permuted;
    }

    private static (float[] Rounded, byte[] Blocks) Quantize(float[] values)
    {
        MemoryStream blocks = new();
        float[] rounded = new float[values.Length];
        for (int block = 0; block < values.Length; block += 32)
        {
            Half scale = (Half)(values.AsSpan(block, 32).ToArray().Max(Math.Abs) / 127);
            blocks.Write(BitConverter.GetBytes(scale));
            for (int i = block; i < block + 32; i++)
            {
                sbyte q = (sbyte)Math.Clamp(MathF.Round(values[i] / (float)scale), -127, 127);
                blocks.WriteByte((byte)q);
                rounded[i] = q * (float)scale;
            }
        }
        return (rounded, blocks.ToArray());
    }

    private static string Name(string snapshotName) => Expert().Replace(snapshotName, "ffn_$1_exps.")
        .Replace("ffn_w1_", "ffn_gate_", StringComparison.Ordinal)
        .Replace("ffn_w3_", "ffn_up_", StringComparison.Ordinal)
        .Replace("ffn_w2_", "ffn_down_", StringComparison.Ordinal)
        .Replace("block_sparse_moe.gate.", "ffn_gate_inp.", StringComparison.Ordinal)
        .Replace("mlp.gate.", "ffn_gate_inp.", StringComparison.Ordinal)
        .Replace("model.layers.", "blk.", StringComparison.Ordinal)
        .Replace("model.embed_tokens", "token_embd", StringComparison.Ordinal)
        .Replace("model.norm", "output_norm", StringComparison.Ordinal)
        .Replace("lm_head", "output", StringComparison.Ordinal)
        .Replace("input_layernorm", "attn_norm", StringComparison.Ordinal)
        .Replace("post_attention_layernorm", "ffn_norm", StringComparison.Ordinal)
        .Replace("self_attn.o_proj", "attn_output", StringComparison.Ordinal)
        .Replace("self_attn.", "attn_", StringComparison.Ordinal)
        .Replace("mlp.", "ffn_", StringComparison.Ordinal)
        .Replace("_proj", "", StringComparison.Ordinal);

    [GeneratedRegex(@"(?:block_sparse_moe|mlp)\.experts\.\d+\.(\w+?)(?:_proj)?\.")]
    private static partial Regex Expert();
}
