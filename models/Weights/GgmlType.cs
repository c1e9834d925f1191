using LlamaServe.Kernels;

namespace LlamaServe.Models.Weights;

/// <summary>ggml's numbers for tensor types, as GGUF stores them.</summary>
internal static class GgmlType
{
    public static WeightFormat? ToFormat(uint type) => type switch
    {
        0 => WeightFormat.F32,
        1 => WeightFormat.F16,
        2 => WeightFormat.Q4_0,
        8 => WeightFormat.Q8_0,
        12 => WeightFormat.Q4_K,
        14 => WeightFormat.Q6_K,
        30 => WeightFormat.BF16,
        _ => null,
    };

    /// <summary>What users call a type that <see cref="ToFormat"/> does not know.</summary>
    public static string Name(uint type) => type switch
    {
        3 => "Q4_1",
        6 => "Q5_0",
        7 => "Q5_1",
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        13 => "Q5_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => $"number {type}",
    };
}
