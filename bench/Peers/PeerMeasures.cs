using System.Text.Json.Serialization;

namespace LlamaServe.Bench.Peers;

/// <summary>
/// What one engine did in one round. All prompts are token ids, decoding is greedy and goes on past end ids, and no prompt
/// is found in a cache.
/// </summary>
/// <param name="Prefill">Tokens of a 128-token prompt over the time from submitting it to its first new token.</param>
/// <param name="LongPrefill">The same for 512 tokens.</param>
/// <param name="Decode">New tokens a second after the first, one sequence alone.</param>
/// <param name="Together">
/// Eight sequences, each on its own: new tokens a second of all of them, from the moment when the last of them has its first
/// token until eight times the measured number of tokens less one have followed.
/// </param>
/// <param name="Lockstep">The same with every sequence's next token in one batch, where the engine has to be forced to that.</param>
internal sealed record PeerMeasures(
    [property: JsonPropertyName("prefill_tokens_per_second")] double Prefill,
    [property: JsonPropertyName("long_prefill_tokens_per_second")] double LongPrefill,
    [property: JsonPropertyName("decode_tokens_per_second")] double Decode,
    [property: JsonPropertyName("together_tokens_per_second")] double Together,
    [property: JsonPropertyName("lockstep_tokens_per_second")] double? Lockstep = null)
{
    /// <summary>The median of each measure on its own.</summary>
    public static PeerMeasures Median(IReadOnlyList<PeerMeasures> rounds) => new(
        MedianOf(rounds, round => round.Prefill)!.Value,
        MedianOf(rounds, round => round.LongPrefill)!.Value,
        MedianOf(rounds, round => round.Decode)!.Value,
        MedianOf(rounds, round => round.Together)!.Value,
        MedianOf(rounds, round => round.Lockstep));

    private static double? MedianOf(IReadOnlyList<PeerMeasures> rounds, Func<PeerMeasures, double?> measure) =>
        rounds.Select(measure).Order().ElementAt(rounds.Count / 2);
}
