using System.Text.Json;
using System.Text.Json.Serialization;
using LlamaServe.Bench.Models;

namespace LlamaServe.Bench.Peers;

/// <summary>What every engine is given: the same token ids.</summary>
/// <param name="Prompts">Prompts of the sequences that run together; the first is also the one that runs alone.</param>
/// <param name="LongPrompt">A long prompt, for prefill only.</param>
/// <param name="NewTokens">New tokens of a sequence that are measured.</param>
internal sealed record Workload(
    [property: JsonPropertyName("prompts")] int[][] Prompts,
    [property: JsonPropertyName("long_prompt")] int[] LongPrompt,
    [property: JsonPropertyName("new_tokens")] int NewTokens)
{
    private const int Sequences = 8;
    private const int PromptTokens = 128;
    private const int LongPromptTokens = 512;
    private const int MeasuredTokens = 48;

    /// <summary>
    /// Most new tokens that a sequence of those that run together may need: early ones go on while late ones' prompts are
    /// computed.
    /// </summary>
    [JsonIgnore]
    public int MostNewTokens => 4 * NewTokens;

    /// <summary>Longest context that a sequence can come to.</summary>
    [JsonIgnore]
    public int ContextLength => LongPrompt.Length + MostNewTokens;

    /// <summary>Random ids, the same at each call; no special or byte tokens.</summary>
    public static Workload Create(LlamaShape shape)
    {
        Random random = new(1);
        return new(
            [.. Enumerable.Range(0, Sequences).Select(_ => Ids(PromptTokens))], Ids(LongPromptTokens), MeasuredTokens);

        int[] Ids(int count) =>
            [.. Enumerable.Range(0, count).Select(_ => random.Next(FillerVocabulary.FirstFiller, shape.Vocabulary))];
    }

    public void Save(string path) => File.WriteAllText(path, JsonSerializer.Serialize(this));
}
