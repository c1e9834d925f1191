using LlamaServe.Bench.Models;
using LlamaServe.Kernels;
using LlamaServe.Models;
using LlamaServe.Models.Checkpoints;
using LlamaServe.Models.Configuration;
using LlamaServe.Models.Tokenization;
using LlamaServe.Models.Weights;

namespace LlamaServe.Bench.Gpu;

/// <summary>
/// A Llama of any size with random weights, made on the device without a checkpoint. Layers have the format asked for; the token
/// table and the output projection are BF16, as quantized checkpoints have them.
/// </summary>
internal static class RandomDecoder
{
    private const WeightFormat TableFormat = WeightFormat.BF16;

    /// <summary>Fewest bytes of weights that every step reads.</summary>
    public static double StepBytes(GpuModel model, WeightFormat format, int groupSize) =>
        model.Shape.Layers * model.Matrices.Sum(matrix => RandomWeights.LeastBytes(format, groupSize, matrix.Rows, matrix.Columns))
        + TableFormat.Bytes(model.Shape.OutputMultiplyAdds);

    /// <summary>Loads the model by the loader of checkpoints.</summary>
    /// <param name="backend">Not owned.</param>
    /// <exception cref="ArgumentException">The backend lacks the format.</exception>
    public static LoadedModel Load(GpuModel model, WeightFormat format, int groupSize, IBackend backend)
    {
        LlamaShape shape = model.Shape;
        long largest = model.Matrices.Max(matrix => (long)matrix.Rows * matrix.Columns);
        using RandomWeights tables = new(TableFormat, shape.OutputMultiplyAdds), matrices = new(format, largest, groupSize), gains = new(WeightFormat.F32, shape.Hidden);
        ModelConfig config = Configure(shape);
        Family family = Family.Of(config.Architecture);
        TensorArchive archive = new("random weights", Tensors(shape, tables, matrices, gains).ToDictionary(tensor => tensor.Name), []);
        CheckpointLayout layout = new(config, TensorNames.Gguf, family.LayerTensors, format.HasSeparateScales() ? new RandomScheme(matrices) : null);
        layout.Check(archive);
        CausalLm decoder = family.Create(new WeightLoader(config, archive, layout, backend, progress: null));
        return new LoadedModel(model.Name, decoder, MakeTokenizer(shape.Vocabulary), new GenerationDefaults());
    }

    private static ModelConfig Configure(LlamaShape shape) => new()
    {
        Architecture = Architecture.Llama,
        HiddenSize = shape.Hidden,
        IntermediateSize = shape.FeedForward,
        Layers = shape.Layers,
        Heads = shape.Heads,
        KvHeads = shape.KvHeads,
        HeadDim = shape.HeadSize,
        VocabularySize = shape.Vocabulary,
        ContextLength = shape.Context,
        RmsNormEpsilon = 1e-5f,
        Rope = new RopeParameters(RopeStyle.Interleaved, RotaryFrequencies.Base(shape.HeadSize, theta: 500000)),
        SlidingWindows = new int[shape.Layers],
        TiedEmbeddings = false,
    };

    private static IEnumerable<TensorSource> Tensors(LlamaShape shape, RandomWeights tables, RandomWeights matrices, RandomWeights gains)
    {
        int queries = shape.Heads * shape.HeadSize, keys = shape.KvHeads * shape.HeadSize;
        yield return tables.Tensor("token_embd.weight", shape.Vocabulary, shape.Hidden);
        for (int layer = 0; layer < shape.Layers; layer++)
        {
            string block = $"blk.{layer}.";
            yield return gains.Tensor(block + "attn_norm.weight", shape.Hidden);
            yield return matrices.Tensor(block + "attn_q.weight", queries, shape.Hidden);
            yield return matrices.Tensor(block + "attn_k.weight", keys, shape.Hidden);
            yield return matrices.Tensor(block + "attn_v.weight", keys, shape.Hidden);
            yield return matrices.Tensor(block + "attn_output.weight", shape.Hidden, queries);
            yield return gains.Tensor(block + "ffn_norm.weight", shape.Hidden);
            yield return matrices.Tensor(block + "ffn_gate.weight", shape.FeedForward, shape.Hidden);
            yield return matrices.Tensor(block + "ffn_up.weight", shape.FeedForward, shape.Hidden);
            yield return matrices.Tensor(block + "ffn_down.weight", shape.Hidden, shape.FeedForward);
        }
        yield return gains.Tensor("output_norm.weight", shape.Hidden);
        yield return tables.Tensor("output.weight", shape.Vocabulary, shape.Hidden);
    }

    private static Tokenizer MakeTokenizer(int vocabulary)
    {
        string path = Path.GetTempFileName();
        try
        {
            GgufWriter writer = new();
            FillerVocabulary.AddTo(writer.Add("general.architecture", "llama"), vocabulary);
            using (FileStream file = File.Create(path))
            {
                writer.WriteTo(file);
            }
            using GgufFile header = GgufFile.Open(path);
            return TokenizerLoader.Load(header.Metadata);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
