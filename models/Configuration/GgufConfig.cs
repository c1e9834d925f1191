using System.Runtime.InteropServices;
using LlamaServe.Kernels;
using LlamaServe.Models.Checkpoints;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Configuration;

/// <summary>Reads a model's configuration from the metadata of a GGUF file; its keys begin with the architecture's name.</summary>
/// <seealso href="https://github.com/ggml-org/ggml/blob/master/docs/gguf.md"/>
internal sealed class GgufConfig
{
    private const float DefaultTheta = 10000;

    /// <summary>expert_gating_func of a softmax over all experts.</summary>
    private const int SoftmaxGating = 1;

    private readonly GgufMetadata _metadata;
    private readonly TensorArchive _tensors;
    private readonly Family _family;

    private GgufConfig(GgufFile file)
    {
        _metadata = file.Metadata;
        _tensors = file.Tensors;
        string architecture = _metadata.Architecture;
        _family = Family.All.FirstOrDefault(family => family.GgufName == architecture) ?? throw _metadata.Error(
            "general.architecture",
            $"is {CheckpointException.Quote(architecture)}; served are {string.Join(", ", Family.All.Where(family => family.GgufName is not null).Select(family => family.GgufName))}");
    }

    /// <exception cref="CheckpointException">The metadata are damaged or describe a model that is not served.</exception>
    public static ModelConfig Read(GgufFile file) => new GgufConfig(file).Read();

    private ModelConfig Read()
    {
        RefuseUnserved();
        int heads = Positive("attention.head_count", ConfigLimits.Heads);
        int hidden = Positive("embedding_length", ConfigLimits.HiddenSize);
        int layers = Positive("block_count", ConfigLimits.Layers);
        int headDim = Positive("attention.key_length", ConfigLimits.HeadDim, hidden / heads);
        Expect("attention.value_length", headDim);
        Expect("rope.dimension_count", headDim);
        int window = _metadata.FindInt32(Key("attention.sliding_window")) is null or 0
            ? 0
            : Positive("attention.sliding_window", ConfigLimits.ContextLength);
        int intermediate = Positive("feed_forward_length", ConfigLimits.IntermediateSize);
        ExpertConfig? experts = ReadExperts(intermediate, layers);
        return new ModelConfig
        {
            Architecture = ReadArchitecture(window, experts),
            HiddenSize = hidden,
            IntermediateSize = intermediate,
            Experts = experts,
            Layers = layers,
            Heads = heads,
            KvHeads = Positive("attention.head_count_kv", ConfigLimits.Heads, heads),
            HeadDim = headDim,
            VocabularySize = ReadVocabularySize(),
            ContextLength = Positive("context_length", ConfigLimits.ContextLength),
            RmsNormEpsilon = InRange("attention.layer_norm_rms_epsilon", 1e-30, 1, null),
            Rope = new RopeParameters(_family.GgufRope, ReadFrequencies(headDim)),
            SlidingWindows = [.. Enumerable.Repeat(window, layers)],
            TiedEmbeddings = !_tensors.TryGet(TensorNames.Gguf.Name(TensorRole.Output, layer: 0), out _),
        }.Checked(_metadata.FileName);
    }

    private void RefuseUnserved()
    {
        foreach (string scale in (ReadOnlySpan<string>)["attention.scale", "embedding_scale", "residual_scale", "logit_scale"])
        {
            if (_metadata.FindSingle(Key(scale)) is not null)
            {
                throw _metadata.Error(Key(scale), "is given, which is not supported");
            }
        }
    }

    // Mistral and Mixtral come as llama.
    private Architecture ReadArchitecture(int window, ExpertConfig? experts) => _family.Architecture switch
    {
        Architecture.Llama when experts is not null => Architecture.Mixtral,
        Architecture.Llama when window > 0 => Architecture.Mistral,
        Architecture other => other,
    };

    private ExpertConfig? ReadExperts(int intermediate, int layers)
    {
        string count = Key("expert_count");
        int experts = _metadata.FindInt32(count) ?? 0;
        bool isMixture = _family.Architecture == Architecture.Qwen3Moe;
        if (experts == 0 && !isMixture)
        {
            return null;
        }
        if (!isMixture && _family.Architecture != Architecture.Llama)
        {
            throw _metadata.Error(count, $"is {experts}: mixtures of experts are not supported in {_metadata.Architecture}");
        }
        int each = Positive("expert_used_count", ConfigLimits.ExpertsPerToken);
        int own = isMixture ? Positive("expert_feed_forward_length", ConfigLimits.IntermediateSize, Math.Max(1, intermediate / each)) : intermediate;
        Expect("expert_shared_count", 0);
        Expect("expert_gating_func", SoftmaxGating);
        if (_metadata.FindSingle(Key("expert_weights_scale")) is not (null or 0 or 1))
        {
            throw _metadata.Error(Key("expert_weights_scale"), "is given, which is not supported");
        }
        return new ExpertConfig(Positive("expert_count", ConfigLimits.Experts), each, own, NormalizesWeights: true, [.. Enumerable.Repeat(true, layers)]);
    }

    private int ReadVocabularySize()
    {
        TensorSource table = _tensors.Get(TensorNames.Gguf.Name(TensorRole.Embedding, layer: 0));
        int rows = table.Shape[0] is > 0 and <= ConfigLimits.VocabularySize
            ? (int)table.Shape[0]
            : throw new CheckpointException(_metadata.FileName, $"tensor '{table.Name}' has {table.Shape[0]} rows, more than the {ConfigLimits.VocabularySize} allowed");
        Expect("vocab_size", rows);
        return rows;
    }

    private double[] ReadFrequencies(int headDim)
    {
        double[] frequencies = RotaryFrequencies.Base(headDim, InRange("rope.freq_base", 1, ConfigLimits.RopeTheta, DefaultTheta));
        float factor = InRange("rope.scale_linear", 1, ConfigLimits.RopeFactor, 1);
        string scaling = _metadata.FindString(Key("rope.scaling.type")) ?? "none";
        factor = scaling switch
        {
            "none" => factor,
            "linear" => InRange("rope.scaling.factor", 1, ConfigLimits.RopeFactor, null),
            _ => throw _metadata.Error(Key("rope.scaling.type"), $"is {CheckpointException.Quote(scaling)}; supported are none and linear"),
        };
        frequencies = RotaryFrequencies.Linear(frequencies, factor);
        return _tensors.TryGet(TensorNames.RopeFactors, out TensorSource? factors)
            ? RotaryFrequencies.PerPair(frequencies, ReadFactors(factors, frequencies.Length))
            : frequencies;
    }

    private float[] ReadFactors(TensorSource tensor, int pairs)
    {
        WeightData data = tensor.AsVector(pairs);
        float[] factors = new float[pairs];
        if (data.Format != WeightFormat.F32)
        {
            throw new CheckpointException(_metadata.FileName, $"tensor '{tensor.Name}' is {data.Format}, expected F32");
        }
        Marshal.Copy(data.Address, factors, 0, pairs);
        return Array.TrueForAll(factors, factor => factor is > 0 and <= (float)ConfigLimits.RopeFactor)
            ? factors
            : throw new CheckpointException(_metadata.FileName, $"tensor '{tensor.Name}' has a factor that is not in 0 to {ConfigLimits.RopeFactor}");
    }

    private string Key(string name) => $"{_metadata.Architecture}.{name}";

    private int Positive(string name, int max, int? absent = null)
    {
        int number = _metadata.FindInt32(Key(name)) ?? absent ?? _metadata.GetInt32(Key(name));
        return number >= 1 && number <= max ? number : throw _metadata.Error(Key(name), $"is {number}, not in 1 to {max}");
    }

    private float InRange(string name, double min, double max, float? absent)
    {
        float number = _metadata.FindSingle(Key(name)) ?? absent ?? _metadata.GetSingle(Key(name));
        return number >= min && number <= max ? number : throw _metadata.Error(Key(name), $"is {number}, not in {min} to {max}");
    }

    private void Expect(string name, int value)
    {
        if (_metadata.FindInt32(Key(name)) is int number && number != value)
        {
            throw _metadata.Error(Key(name), $"is {number}, expected {value}");
        }
    }
}
