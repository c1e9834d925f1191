using System.Text.Json.Nodes;

namespace LlamaServe.Bench.Load;

/// <summary>The fields of a result file that scripts for <c>vllm bench serve</c>'s read.</summary>
internal static class ServeJson
{
    public static JsonObject Of(ServeOptions options, ServeResult result, bool detailed)
    {
        JsonObject json = new()
        {
            ["backend"] = options.IsHttp ? "openai" : "llamaserve-grpc",
            ["model_id"] = result.Model,
            ["tokenizer_id"] = options.Tokenizer is { } path ? Path.GetFileName(Path.TrimEndingDirectorySeparator(path)) : null,
            ["num_prompts"] = options.Conversations,
            ["request_rate"] = Finite(options.Rate),
            ["burstiness"] = Finite(options.Burstiness),
            ["max_concurrency"] = options.MaxConcurrency,
            ["dataset_name"] = options.Workload,
            ["seed"] = options.Seed,
            ["id_seed"] = options.IdSeed,
        };
        foreach ((string name, JsonNode? value) in result.ToJson(detailed).ToArray())
        {
            json[name] = value?.DeepClone();
        }

        return json;
    }

    // As there: a rate without limit is the word.
    private static JsonValue Finite(double value) => double.IsPositiveInfinity(value) ? JsonValue.Create("inf") : JsonValue.Create(value);
}
