using LlamaServe.Kernels;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Configuration;

/// <summary>
/// Reads the config.json of a Hugging Face snapshot. Keys that would change the arithmetic in a way that is not served are
/// refused; a size that the file leaves out and that is guessed wrong shows in the tensors' shapes.
/// </summary>
internal static class SnapshotConfig
{
    public const string FileName = "config.json";

    private const int MaxBytes = 1 << 20;
    private const int Qwen3HeadDim = 128;
    private const double DefaultEpsilon = 1e-6;

    /// <exception cref="CheckpointException">The file is absent or damaged, or describes a model that is not served.</exception>
    public static CheckpointJson Load(string directory) => CheckpointJson.Load(Path.Combine(directory, FileName), MaxBytes);

    /// <exception cref="CheckpointException">The configuration is of a model that is not served.</exception>
    public static ModelConfig Read(CheckpointJson json)
    {
        Architecture architecture = ReadArchitecture(json);
        RefuseUnserved(json);
        int heads = Positive(json.Get("num_attention_heads"), ConfigLimits.Heads);
        int hidden = Positive(json.Get("hidden_size"), ConfigLimits.HiddenSize);
        int layers = Positive(json.Get("num_hidden_layers"), ConfigLimits.Layers);
        int headDim = json.Find("head_dim") is { IsNull: false } explicitDim ? Positive(explicitDim, ConfigLimits.HeadDim)
            : architecture == Architecture.Qwen3 ? Qwen3HeadDim
            : hidden / heads;
        return new ModelConfig
        {
            Architecture = architecture,
            HiddenSize = hidden,
            IntermediateSize = Positive(json.Get("intermediate_size"), ConfigLimits.IntermediateSize),
            Layers = layers,
            Heads = heads,
            KvHeads = json.Find("num_key_value_heads") is { IsNull: false } kvHeads ? Positive(kvHeads, ConfigLimits.Heads) : heads,
            HeadDim = headDim,
            VocabularySize = Positive(json.Get("vocab_size"), ConfigLimits.VocabularySize),
            ContextLength = Positive(json.Get("max_position_embeddings"), ConfigLimits.ContextLength),
            RmsNormEpsilon = ReadEpsilon(json),
            Rope = new RopeParameters(RopeStyle.HalfSplit, SnapshotRope.Read(json, headDim)),
            Experts = SnapshotExperts.Read(json, architecture, layers),
            SlidingWindows = SnapshotWindows.Read(json, architecture, layers),
            TiedEmbeddings = json.Find("tie_word_embeddings") is { IsNull: false } tied && tied.Boolean(),
        }.Checked(FileName);
    }

    /// <summary>An integer from 1 to <paramref name="max"/>.</summary>
    public static int Positive(CheckpointJson value, int max) => value.Integer() is var number && number >= 1 && number <= max
        ? (int)number
        : throw value.Error($"is {number}, not in 1 to {max}");

    private static Architecture ReadArchitecture(CheckpointJson json)
    {
        CheckpointJson named = json.Find("architectures");
        if (named.IsNull)
        {
            CheckpointJson type = json.Get("model_type");
            return Family.All.FirstOrDefault(family => family.ModelType == type.Text())?.Architecture
                ?? throw Unknown(type, Family.All.Select(family => family.ModelType));
        }
        if (named.Count() != 1)
        {
            throw named.Error("must name one architecture");
        }
        CheckpointJson name = named.Items().First();
        return Family.All.FirstOrDefault(family => family.HuggingFaceName == name.Text())?.Architecture
            ?? throw Unknown(name, Family.All.Select(family => family.HuggingFaceName));
    }

    private static CheckpointException Unknown(CheckpointJson value, IEnumerable<string> served) =>
        value.Error($"is {CheckpointException.Quote(value.Text())}; served are {string.Join(", ", served)}");

    private static void RefuseUnserved(CheckpointJson json)
    {
        foreach (string key in (ReadOnlySpan<string>)["attention_bias", "mlp_bias", "use_mrope"])
        {
            if (json.Find(key) is { IsNull: false } flag && flag.Boolean())
            {
                throw flag.Error("is true, which is not supported");
            }
        }
        if (json.Find("hidden_act") is { IsNull: false } activation && activation.Text() is not ("silu" or "swish"))
        {
            throw activation.Error($"is {CheckpointException.Quote(activation.Text())}; supported is 'silu'");
        }
        if (json.Find("partial_rotary_factor") is { IsNull: false } partial && partial.Number() != 1)
        {
            throw partial.Error("is not 1: rotating a part of each head is not supported");
        }
    }

    private static float ReadEpsilon(CheckpointJson json)
    {
        CheckpointJson value = json.Find("rms_norm_eps");
        double epsilon = value.IsNull ? DefaultEpsilon : value.Number();
        return epsilon is > 0 and < 1 ? (float)epsilon : throw value.Error($"is {epsilon}, not between 0 and 1");
    }
}
