namespace LlamaServe.Testing;

/// <summary>
/// What a small random model looks like: config.json's values, in its words. Sizes are odd enough that mixing two of them
/// up shows.
/// </summary>
public sealed record TinyModel
{
    /// <summary>Llama 2: as many key/value heads as query heads, no rope scaling.</summary>
    public static TinyModel Llama2 { get; } = new() { Architecture = "LlamaForCausalLM", ModelType = "llama", KvHeads = 6 };

    /// <summary>Llama 3.1: grouped queries and "llama3" rope scaling with a context that the scaled frequencies straddle.</summary>
    public static TinyModel Llama31 { get; } = new()
    {
        Architecture = "LlamaForCausalLM",
        ModelType = "llama",
        RopeTheta = 500000,
        Llama3Scaling = (Factor: 8, Low: 1, High: 4, OriginalContext: 64),
    };

    /// <summary>Mistral with a window shorter than the tests' sequences.</summary>
    public static TinyModel Mistral { get; } = new() { Architecture = "MistralForCausalLM", ModelType = "mistral", SlidingWindow = 11 };

    /// <summary>Qwen2.5: biases on q, k and v.</summary>
    public static TinyModel Qwen2 { get; } = new() { Architecture = "Qwen2ForCausalLM", ModelType = "qwen2", RopeTheta = 1000000, QkvBias = true, Tied = true };

    /// <summary>Qwen3: RmsNorm of the heads of q and k; heads wider than hidden / heads.</summary>
    public static TinyModel Qwen3 { get; } = new() { Architecture = "Qwen3ForCausalLM", ModelType = "qwen3", RopeTheta = 1000000, HeadDim = 32, HeadNorms = true, Tied = true };

    /// <summary>Mixtral: experts in every layer.</summary>
    public static TinyModel Mixtral { get; } = new()
    {
        Architecture = "MixtralForCausalLM",
        ModelType = "mixtral",
        RopeTheta = 1000000,
        Experts = 5,
        ExpertsPerToken = 2,
        ExpertSize = 160,
        NormalizesExperts = true,
    };

    /// <summary>Qwen3 with experts: narrow ones beside an MLP that is not.</summary>
    public static TinyModel Qwen3Moe { get; } = Qwen3 with
    {
        Architecture = "Qwen3MoeForCausalLM",
        ModelType = "qwen3_moe",
        Tied = false,
        Experts = 9,
        ExpertsPerToken = 3,
        ExpertSize = 64,
        DenseLayers = [1],
    };

    public required string Architecture { get; init; }

    public required string ModelType { get; init; }

    public int HiddenSize { get; init; } = 96;

    public int IntermediateSize { get; init; } = 160;

    public int Layers { get; init; } = 3;

    public int Heads { get; init; } = 6;

    public int KvHeads { get; init; } = 2;

    public int HeadDim { get; init; } = 16;

    /// <summary>Rows of the embedding. The tokenizer has 256 ids and two added tokens.</summary>
    public int VocabularySize { get; init; } = 288;

    public int ContextLength { get; init; } = 256;

    public double RopeTheta { get; init; } = 10000;

    public double RmsNormEpsilon { get; init; } = 1e-5;

    public (double Factor, double Low, double High, int OriginalContext)? Llama3Scaling { get; init; }

    /// <summary>0 for none.</summary>
    public int SlidingWindow { get; init; }

    public bool QkvBias { get; init; }

    public bool HeadNorms { get; init; }

    public bool Tied { get; init; }

    /// <summary>Experts of a layer; 0 for one MLP in every layer.</summary>
    public int Experts { get; init; }

    public int ExpertsPerToken { get; init; }

    public int ExpertSize { get; init; }

    public bool NormalizesExperts { get; init; }

    /// <summary>Layers that have an MLP where others have experts.</summary>
    public int[] DenseLayers { get; init; } = [];

    /// <summary>Whether a layer has experts.</summary>
    public bool IsSparse(int layer) => Experts > 0 && !DenseLayers.Contains(layer);

    /// <summary>Store the weights as BF16 instead of F32.</summary>
    public bool BFloat16 { get; init; }
}
