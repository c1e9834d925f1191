using LlamaServe.Kernels;

namespace LlamaServe.Bench.Models;

/// <summary>
/// A Llama with random weights: right for measuring speed and for testing loaders, since neither depends on what the
/// weights are. Matrices are N(0, 0.02²), norm gains are 1, so activations stay as small as a trained model's.
/// </summary>
/// <param name="shape">Sizes.</param>
/// <param name="format">Storage format of every matrix; norm gains are always F32.</param>
/// <param name="seed">Same seed, same file.</param>
internal sealed class RandomLlama(LlamaShape shape, WeightFormat format, ulong seed)
{
    private const float Deviation = 0.02f;
    private const int RowsInFlight = 1024;

    private ulong _nextStream;

    /// <summary>Number of parameters.</summary>
    public long ParameterCount => Tensors().Sum(tensor => tensor.ElementCount);

    /// <summary>Bytes of all tensors as stored.</summary>
    public long ByteCount => Tensors().Sum(tensor => tensor.ByteCount);

    /// <summary>Writes the model to <paramref name="path"/>; a file of that name never holds half a model.</summary>
    /// <exception cref="ArgumentException">The shape makes no model, or the format does not fit it.</exception>
    public void Save(string path)
    {
        shape.Validate();
        GgufWriter writer = new();
        AddHyperparameters(writer);
        FillerVocabulary.AddTo(writer, shape.Vocabulary);
        foreach (GgufTensor tensor in Tensors())
        {
            writer.Add(tensor);
        }

        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        string partial = path + ".partial";
        using (FileStream file = File.Create(partial))
        {
            writer.WriteTo(file);
        }

        File.Move(partial, path, overwrite: true);
    }

    private void AddHyperparameters(GgufWriter writer) =>
        writer.Add("general.architecture", "llama")
            .Add("general.name", "random llama")
            .Add("general.alignment", (uint)GgufWriter.Alignment)
            .Add("general.quantization_version", 2u)
            .Add("llama.vocab_size", (uint)shape.Vocabulary)
            .Add("llama.context_length", (uint)shape.Context)
            .Add("llama.embedding_length", (uint)shape.Hidden)
            .Add("llama.block_count", (uint)shape.Layers)
            .Add("llama.feed_forward_length", (uint)shape.FeedForward)
            .Add("llama.attention.head_count", (uint)shape.Heads)
            .Add("llama.attention.head_count_kv", (uint)shape.KvHeads)
            .Add("llama.attention.key_length", (uint)shape.HeadSize)
            .Add("llama.attention.value_length", (uint)shape.HeadSize)
            .Add("llama.attention.layer_norm_rms_epsilon", 1e-5f)
            .Add("llama.rope.dimension_count", (uint)shape.HeadSize)
            .Add("llama.rope.freq_base", 10000f);

    private List<GgufTensor> Tensors()
    {
        _nextStream = 0;
        int queryWidth = shape.Heads * shape.HeadSize;
        int keyWidth = shape.KvHeads * shape.HeadSize;
        List<GgufTensor> tensors = [Matrix("token_embd", shape.Vocabulary, shape.Hidden)];
        for (int layer = 0; layer < shape.Layers; layer++)
        {
            string block = $"blk.{layer}.";
            tensors.Add(Gain(block + "attn_norm"));
            tensors.Add(Matrix(block + "attn_q", queryWidth, shape.Hidden));
            tensors.Add(Matrix(block + "attn_k", keyWidth, shape.Hidden));
            tensors.Add(Matrix(block + "attn_v", keyWidth, shape.Hidden));
            tensors.Add(Matrix(block + "attn_output", shape.Hidden, queryWidth));
            tensors.Add(Gain(block + "ffn_norm"));
            tensors.Add(Matrix(block + "ffn_gate", shape.FeedForward, shape.Hidden));
            tensors.Add(Matrix(block + "ffn_up", shape.FeedForward, shape.Hidden));
            tensors.Add(Matrix(block + "ffn_down", shape.Hidden, shape.FeedForward));
        }

        tensors.Add(Gain("output_norm"));
        if (!shape.Tied)
        {
            tensors.Add(Matrix("output", shape.Vocabulary, shape.Hidden));
        }

        return tensors;
    }

    private GgufTensor Matrix(string name, int rows, int columns)
    {
        ulong firstStream = _nextStream;
        _nextStream += (ulong)rows;
        return new(name + ".weight", format, [rows, columns], output => WriteMatrix(output, firstStream, rows, columns));
    }

    private GgufTensor Gain(string name)
    {
        float[] ones = new float[shape.Hidden];
        Array.Fill(ones, 1f);
        byte[] data = new byte[RowEncoder.RowBytes(WeightFormat.F32, ones.Length)];
        RowEncoder.Encode(WeightFormat.F32, ones, data);
        return new(name + ".weight", WeightFormat.F32, [shape.Hidden], output => output.Write(data));
    }

    private void WriteMatrix(Stream output, ulong firstStream, int rows, int columns)
    {
        int rowBytes = RowEncoder.RowBytes(format, columns);
        byte[] buffer = new byte[RowsInFlight * rowBytes];
        for (int first = 0; first < rows; first += RowsInFlight)
        {
            int start = first;
            int count = Math.Min(RowsInFlight, rows - first);
            Parallel.For(0, count, () => new float[columns], (row, _, values) =>
            {
                NormalNoise.Fill(values, seed, firstStream + (ulong)(start + row), Deviation);
                RowEncoder.Encode(format, values, buffer.AsSpan(row * rowBytes, rowBytes));
                return values;
            }, static _ => { });
            output.Write(buffer, 0, count * rowBytes);
        }
    }
}
