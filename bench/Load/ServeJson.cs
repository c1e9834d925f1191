using System.Text.Json;
using System.Text.Json.Nodes;
using LlamaServe.Bench.Machine;

namespace LlamaServe.Bench.Load;

/// <summary>A result file that scripts for <c>vllm bench serve</c>'s read, with what is needed to repeat the run beside it.</summary>
internal static class ServeJson
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };
    private static readonly JsonSerializerOptions SnakeCase = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    public static string Of(ServeOptions options, ServeResult result, bool detailed)
    {
        JsonObject json = new()
        {
            ["date"] = DateTimeOffset.UtcNow.ToString("yyyyMMdd-HHmmss"),
            ["backend"] = options.IsHttp ? "openai" : "llamaserve-grpc",
            ["model_id"] = options.Model,
            ["tokenizer_id"] = options.Tokenizer is { } path ? Path.GetFileName(Path.TrimEndingDirectorySeparator(path)) : null,
            ["num_prompts"] = options.Conversations,
            ["request_rate"] = Finite(options.Rate),
            ["burstiness"] = Finite(options.Burstiness),
            ["max_concurrency"] = options.MaxConcurrency,
            ["dataset_name"] = options.Workload,
            ["seed"] = options.Seed,
            ["id_seed"] = options.IdSeed,
            ["commit"] = Repository.Commit,
            ["machine"] = JsonSerializer.SerializeToNode(MachineDescription.Current, SnakeCase),
            ["command"] = "bench " + string.Join(' ', Environment.GetCommandLineArgs()[1..]),
        };
        foreach ((string name, JsonNode? value) in result.ToJson(detailed).ToArray())
        {
            json[name] = value?.DeepClone();
        }

        return json.ToJsonString(Indented);
    }

    // As there: a rate without limit is the word.
    private static JsonValue Finite(double value) => double.IsPositiveInfinity(value) ? JsonValue.Create("inf") : JsonValue.Create(value);
}
