namespace LlamaServe.Bench.Simulation;

/// <summary>What of a decoder costs time and memory.</summary>
/// <param name="WeightBits">Bits of a weight in layers; the output matrix has 16.</param>
/// <param name="KvBits">Bits of an element of keys and values.</param>
internal sealed record ModelShape(
    string Name, int Layers, int Hidden, int Heads, int KvHeads, int HeadDim, int Ffn, int Vocabulary, double WeightBits = 16, double KvBits = 16)
{
    public static IReadOnlyList<ModelShape> Known { get; } =
    [
        new("llama-3-8b", 32, 4096, 32, 8, 128, 14336, 128256),
        new("llama-3-70b", 80, 8192, 64, 8, 128, 28672, 128256),
        new("llama-3-405b", 126, 16384, 128, 8, 128, 53248, 128256),
        new("mistral-7b", 32, 4096, 32, 8, 128, 14336, 32768),
    ];

    /// <exception cref="ArgumentException">There is none of this name.</exception>
    public static ModelShape Named(string name) => Known.FirstOrDefault(shape => shape.Name == name)
        ?? throw new ArgumentException($"there is no model \"{name}\"; there are {string.Join(", ", Known.Select(known => known.Name))}");

    /// <summary>Elements of the layers' matrices.</summary>
    public double LayerWeights => (double)Layers * Hidden * (2.0 * Heads * HeadDim + 2.0 * KvHeads * HeadDim + 3.0 * Ffn);

    /// <summary>Bytes that a decode step reads of them and of the output matrix.</summary>
    public double WeightBytes => LayerWeights * WeightBits / 8 + 2.0 * Hidden * Vocabulary;

    /// <summary>Bytes of the keys and values of one token.</summary>
    public double KvBytesPerToken => 2.0 * Layers * KvHeads * HeadDim * KvBits / 8;

    /// <summary>Floating-point operations of a token in the layers' matrices.</summary>
    public double TokenOperations => 2 * LayerWeights;

    /// <summary>Floating-point operations of one token with one other in attention.</summary>
    public double AttendedOperations => 4.0 * Layers * Heads * HeadDim;
}
