namespace LlamaServe.Bench.Gpu;

/// <summary>Something that peers.py can time.</summary>
/// <param name="Id">Names it in the results.</param>
/// <param name="Kind">A function of peers.py.</param>
/// <param name="Arguments">Its arguments.</param>
internal sealed record PeerCase(string Id, string Kind, IReadOnlyDictionary<string, int> Arguments)
{
    public static PeerCase Product(string kind, int tokens, int rows, int columns) => new(
        $"{kind} {tokens} x {rows} x {columns}", kind, new Dictionary<string, int> { ["m"] = tokens, ["n"] = rows, ["k"] = columns });
}
