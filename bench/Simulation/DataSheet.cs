namespace LlamaServe.Bench.Simulation;

/// <summary>A GPU by its data sheet.</summary>
/// <param name="Operations">Dense operations a second with 16-bit operands; with 8-bit ones twice as many.</param>
/// <param name="Bandwidth">Bytes a second of its memory.</param>
/// <param name="Memory">Bytes.</param>
/// <param name="Link">Bytes a second to its neighbours, in one direction.</param>
internal sealed record DataSheet(string Name, double Operations, double Bandwidth, double Memory, double Link)
{
    public static IReadOnlyList<DataSheet> Known { get; } = [new("H100", 989e12, 3.35e12, 80e9, 450e9), new("H200", 989e12, 4.8e12, 141e9, 450e9)];

    /// <exception cref="ArgumentException">There is none of this name.</exception>
    public static DataSheet Named(string name) => Known.FirstOrDefault(gpu => string.Equals(gpu.Name, name, StringComparison.OrdinalIgnoreCase))
        ?? throw new ArgumentException($"there is no GPU \"{name}\"; there are {string.Join(", ", Known.Select(known => known.Name))}");
}
