using System.Text.Json;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Configuration;

/// <summary>
/// Generation defaults of a Hugging Face snapshot: generation_config.json where there is one, and config.json for the
/// special ids that it does not give.
/// </summary>
internal static class SnapshotGeneration
{
    private const string FileName = "generation_config.json";
    private const int MaxBytes = 1 << 20;
    private const int MaxEosIds = 64;

    /// <param name="config">config.json.</param>
    /// <exception cref="CheckpointException">A value is of the wrong kind or out of range.</exception>
    public static GenerationDefaults Read(string directory, CheckpointJson config, int vocabularySize)
    {
        string path = Path.Combine(directory, FileName);
        if (!File.Exists(path))
        {
            return ReadIds(config, config, vocabularySize);
        }
        CheckpointJson json = CheckpointJson.Load(path, MaxBytes);
        bool greedy = json.Find("do_sample") is { IsNull: false } sample && !sample.Boolean();
        return ReadIds(json, config, vocabularySize) with
        {
            Temperature = greedy ? 0 : FindSingle(json, "temperature", 0, 100),
            TopK = json.Find("top_k") is { IsNull: false } topK ? Math.Min(Id(topK, int.MaxValue), vocabularySize) : null,
            TopP = FindSingle(json, "top_p", float.Epsilon, 1),
            MinP = FindSingle(json, "min_p", 0, 1),
            RepetitionPenalty = FindSingle(json, "repetition_penalty", float.Epsilon, 10),
        };
    }

    private static GenerationDefaults ReadIds(CheckpointJson json, CheckpointJson config, int vocabularySize)
    {
        CheckpointJson eos = json.Find("eos_token_id") is { IsNull: false } own ? own : config.Find("eos_token_id");
        CheckpointJson bos = json.Find("bos_token_id") is { IsNull: false } ownBos ? ownBos : config.Find("bos_token_id");
        IEnumerable<CheckpointJson> ends = eos.IsNull ? [] : eos.Kind == JsonValueKind.Array ? eos.Items().Take(MaxEosIds) : [eos];
        return new GenerationDefaults
        {
            EosTokenIds = [.. ends.Select(id => Id(id, vocabularySize)).Distinct()],
            BosTokenId = bos.IsNull ? null : Id(bos, vocabularySize),
        };
    }

    private static int Id(CheckpointJson value, int end) => value.Integer() is var number && number >= 0 && number < end
        ? (int)number
        : throw value.Error($"is {number}, not in 0 to {end - 1}");

    private static float? FindSingle(CheckpointJson json, string key, float min, float max)
    {
        CheckpointJson value = json.Find(key);
        if (value.IsNull)
        {
            return null;
        }
        float number = (float)value.Number();
        return number >= min && number <= max ? number : throw value.Error($"is {number}, not in {min} to {max}");
    }
}
