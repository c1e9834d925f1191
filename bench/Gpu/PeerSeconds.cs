using System.Text.Json;

namespace LlamaServe.Bench.Gpu;

/// <summary>What became of a peer's case.</summary>
/// <param name="Value">Seconds.</param>
/// <param name="Trouble">Why there are none.</param>
internal readonly record struct PeerSeconds(double? Value, string? Trouble)
{
    public static PeerSeconds Of(JsonElement answer) =>
        answer.ValueKind == JsonValueKind.Number ? new PeerSeconds(answer.GetDouble(), null) : new PeerSeconds(null, answer.GetString());
}
