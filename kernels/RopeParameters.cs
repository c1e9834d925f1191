namespace LlamaServe.Kernels;

/// <summary>Which elements of a head are rotated together.</summary>
public enum RopeStyle
{
    /// <summary>Element i with element i + d/2 (Hugging Face checkpoints; "NeoX" in ggml).</summary>
    HalfSplit,

    /// <summary>Element 2i with element 2i + 1 (the RoFormer paper; GGUF files of the llama architecture, whose q and k rows are permuted).</summary>
    Interleaved,
}

/// <summary>
/// Rotary position embedding (RoFormer, arXiv:2104.09864): pair i of a head turns by position · InverseFrequencies[i].
/// Scaling schemes ("llama3", "linear") are already folded into the frequencies.
/// </summary>
/// <param name="InverseFrequencies">[HeadDim / 2] radians per position, in double precision.</param>
public sealed record RopeParameters(RopeStyle Style, double[] InverseFrequencies);
