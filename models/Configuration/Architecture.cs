namespace LlamaServe.Models.Configuration;

/// <summary>The families that are served.</summary>
public enum Architecture
{
    /// <summary>Llama 2, 3, 3.1, 3.2 (arXiv:2307.09288, arXiv:2407.21783).</summary>
    Llama,

    /// <summary>Llama with sliding-window attention (arXiv:2310.06825).</summary>
    Mistral,

    /// <summary>Qwen2 and Qwen2.5 (arXiv:2412.15115): biases on q, k and v.</summary>
    Qwen2,

    /// <summary>Qwen3 (arXiv:2505.09388): RmsNorm on each head of q and k.</summary>
    Qwen3,

    /// <summary>Mistral with a mixture of experts in every layer (arXiv:2401.04088).</summary>
    Mixtral,

    /// <summary>Qwen3 with mixtures of experts (arXiv:2505.09388).</summary>
    Qwen3Moe,
}
