using System.Diagnostics.CodeAnalysis;

namespace LlamaServe.Kernels;

/// <summary>
/// How a checkpoint stores the elements of a weight: floats, GGUF's quantized formats (ggml block layouts, scales inside the
/// blocks), or integers and e4m3 whose scales lie beside them (<see cref="WeightData.Scales"/>).
/// </summary>
[SuppressMessage("Naming", "CA1720:Identifier contains type name", Justification = "The formats' own names.")]
public enum WeightFormat
{
    F32,
    F16,
    BF16,

    /// <summary>32 elements in 34 bytes: f16 scale d, 32 × int8 q; w = d·q.</summary>
    Q8_0,

    /// <summary>32 elements in 18 bytes: f16 scale d, 16 bytes of nibbles (low: elements 0..15, high: 16..31); w = d·(q − 8).</summary>
    Q4_0,

    /// <summary>256 elements in 144 bytes: f16 d, f16 dmin, 12 bytes of 6-bit scales and mins, 128 bytes of nibbles.</summary>
    Q4_K,

    /// <summary>256 elements in 210 bytes: 128 bytes low nibbles, 64 bytes high bit pairs, 16 × int8 scales, f16 d.</summary>
    Q6_K,

    /// <summary>2 elements in a byte, the even column in the low nibble; w = scale · (q − zero), zero 8 where none is given.</summary>
    Int4,

    /// <summary>A byte: w = scale · q with q signed, or scale · (q − zero) with q and zero unsigned where zeros are given.</summary>
    Int8,

    /// <summary>
    /// int8, w = scale · q with one scale a row (W8A8): a product quantizes its activations too, row by row, with scale
    /// max|x| / 127.
    /// </summary>
    Int8Dynamic,

    /// <summary>
    /// FP8 e4m3 (arXiv:2209.05433), w = scale · q with one scale a row: a product quantizes its activations too, row by row, with
    /// scale max|x| / 448.
    /// </summary>
    Fp8,
}

/// <summary>Block geometry of each format.</summary>
public static class WeightFormats
{
    /// <summary>Elements that share one block; a row's length is a multiple of it.</summary>
    public static int BlockElements(this WeightFormat format) => format switch
    {
        WeightFormat.F32 or WeightFormat.F16 or WeightFormat.BF16 or WeightFormat.Int8 or WeightFormat.Int8Dynamic or WeightFormat.Fp8 => 1,
        WeightFormat.Int4 => 2,
        WeightFormat.Q8_0 or WeightFormat.Q4_0 => 32,
        WeightFormat.Q4_K or WeightFormat.Q6_K => 256,
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, "unknown weight format"),
    };

    /// <summary>Bytes of one block.</summary>
    public static int BlockBytes(this WeightFormat format) => format switch
    {
        WeightFormat.Int4 or WeightFormat.Int8 or WeightFormat.Int8Dynamic or WeightFormat.Fp8 => 1,
        WeightFormat.F32 => 4,
        WeightFormat.F16 or WeightFormat.BF16 => 2,
        WeightFormat.Q8_0 => 34,
        WeightFormat.Q4_0 => 18,
        WeightFormat.Q4_K => 144,
        WeightFormat.Q6_K => 210,
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, "unknown weight format"),
    };

    /// <summary>Whether scales lie beside the elements, in <see cref="WeightData.Scales"/>.</summary>
    public static bool HasSeparateScales(this WeightFormat format) =>
        format is WeightFormat.Int4 or WeightFormat.Int8 or WeightFormat.Int8Dynamic or WeightFormat.Fp8;

    /// <summary>Bytes of <paramref name="elements"/> stored elements.</summary>
    /// <exception cref="OverflowException">The size does not fit 63 bits.</exception>
    public static long Bytes(this WeightFormat format, long elements) =>
        checked(elements / format.BlockElements() * format.BlockBytes());
}
