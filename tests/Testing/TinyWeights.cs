namespace LlamaServe.Testing;

/// <summary>Draws the tensors of a tiny model, by the names of Hugging Face snapshots.</summary>
internal sealed class TinyWeights(TinyModel model, int seed)
{
    private readonly Random _random = new(seed);
    private readonly Dictionary<string, TinyTensor> _tensors = [];

    public Dictionary<string, TinyTensor> Draw()
    {
        AddMatrix("model.embed_tokens.weight", model.VocabularySize, model.HiddenSize);
        for (int i = 0; i < model.Layers; i++)
        {
            string layer = $"model.layers.{i}.";
            AddGain(layer + "input_layernorm.weight", model.HiddenSize);
            AddAttention(layer + "self_attn.");
            AddGain(layer + "post_attention_layernorm.weight", model.HiddenSize);
            if (model.IsSparse(i))
            {
                AddExperts(layer);
            }
            else
            {
                AddMlp(layer + "mlp.", ("gate_proj", "up_proj", "down_proj"), model.IntermediateSize);
            }
        }
        AddGain("model.norm.weight", model.HiddenSize);
        if (!model.Tied)
        {
            AddMatrix("lm_head.weight", model.VocabularySize, model.HiddenSize);
        }
        return _tensors;
    }

    private void AddMlp(string name, (string Gate, string Up, string Down) projections, int size)
    {
        AddMatrix($"{name}{projections.Gate}.weight", size, model.HiddenSize);
        AddMatrix($"{name}{projections.Up}.weight", size, model.HiddenSize);
        AddMatrix($"{name}{projections.Down}.weight", model.HiddenSize, size);
    }

    private void AddExperts(string layer)
    {
        string name = layer + (model.ModelType == "mixtral" ? "block_sparse_moe." : "mlp.");
        AddMatrix(name + "gate.weight", model.Experts, model.HiddenSize);
        for (int expert = 0; expert < model.Experts; expert++)
        {
            AddMlp($"{name}experts.{expert}.", model.ModelType == "mixtral" ? ("w1", "w3", "w2") : ("gate_proj", "up_proj", "down_proj"), model.ExpertSize);
        }
    }

    private void AddAttention(string name)
    {
        int q = model.Heads * model.HeadDim, kv = model.KvHeads * model.HeadDim;
        AddMatrix(name + "q_proj.weight", q, model.HiddenSize);
        AddMatrix(name + "k_proj.weight", kv, model.HiddenSize);
        AddMatrix(name + "v_proj.weight", kv, model.HiddenSize);
        AddMatrix(name + "o_proj.weight", model.HiddenSize, q);
        if (model.QkvBias)
        {
            Add(name + "q_proj.bias", [q], mean: 0, deviation: 0.5);
            Add(name + "k_proj.bias", [kv], mean: 0, deviation: 0.5);
            Add(name + "v_proj.bias", [kv], mean: 0, deviation: 0.5);
        }
        if (model.HeadNorms)
        {
            AddGain(name + "q_norm.weight", model.HeadDim);
            AddGain(name + "k_norm.weight", model.HeadDim);
        }
    }

    // Wider than a trained model's, so that attention is peaked and every part of the model shows in the logits.
    private void AddMatrix(string name, int rows, int columns) => Add(name, [rows, columns], mean: 0, deviation: 1.5 / Math.Sqrt(columns));

    private void AddGain(string name, int length) => Add(name, [length], mean: 1, deviation: 0.2);

    private void Add(string name, int[] shape, double mean, double deviation)
    {
        float[] values = new float[shape.Aggregate(1, (product, size) => product * size)];
        for (int i = 0; i < values.Length; i++)
        {
            double radius = Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble()));
            float value = (float)(mean + deviation * radius * Math.Cos(2 * Math.PI * _random.NextDouble()));
            values[i] = model.BFloat16 ? RoundToBFloat16(value) : value;
        }
        _tensors.Add(name, new TinyTensor(shape, values));
    }

    /// <summary>The nearest number with 8 significant bits, ties to even.</summary>
    private static float RoundToBFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return BitConverter.UInt32BitsToSingle((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000);
    }
}
