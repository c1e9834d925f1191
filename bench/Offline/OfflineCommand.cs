using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using LlamaServe.Bench.Load;
using LlamaServe.Server.Commands;

namespace LlamaServe.Bench.Offline;

/// <summary><c>offline</c>: what the engine does with all requests at once; the fields of <c>vllm bench throughput</c>.</summary>
internal static class OfflineCommand
{
    private static readonly Option<int> Requests = new("--num-prompts", "--count") { DefaultValueFactory = _ => 1000, Description = "Requests." };
    private static readonly Option<string> Input = new("--input-len", "--input") { DefaultValueFactory = _ => "128", Description = "Prompt in tokens: 128, 100-200 or lognormal:MEDIAN,SIGMA." };
    private static readonly Option<string> Output = new("--output-len", "--output") { DefaultValueFactory = _ => "128", Description = "Answer in tokens, likewise." };
    private static readonly Option<double> SharedPrefix = new("--shared-prefix") { Description = "Part of each prompt that all share, 0 to 1." };
    private static readonly Option<string?> ShareGpt = new("--sharegpt") { Description = "File in ShareGPT's format, instead of random prompts." };
    private static readonly Option<int> WarmUp = new("--warm-up") { DefaultValueFactory = _ => 8, Description = "Requests before the measured ones." };
    private static readonly Option<int> Seed = new("--seed") { Description = "Of lengths and ids." };
    private static readonly Option<string?> Json = new("--json", "--output-json") { Description = "File for the result." };

    public static Command Create()
    {
        ModelOptions model = new();
        Command command = new("offline", "Measure the engine's throughput in this process, all requests queued at once.")
        {
            Requests, Input, Output, SharedPrefix, ShareGpt, WarmUp, Seed, Json,
        };
        model.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string? path = parsed.GetValue(Json) is { } file ? ResultFile.Reserve(file, "offline") : null;
            OfflineOptions options = new(
                parsed.GetValue(Requests), LengthDistribution.Parse(parsed.GetRequiredValue(Input)), LengthDistribution.Parse(parsed.GetRequiredValue(Output)),
                parsed.GetValue(SharedPrefix), parsed.GetValue(ShareGpt), parsed.GetValue(WarmUp), parsed.GetValue(Seed));
            ServeResult result = await OfflineRun.RunAsync(model.Bind(parsed), options, cancellationToken);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{result.Completed} requests in {result.Seconds:F2} s: {result.RequestsPerSecond:F2} requests/s, {result.TokensPerSecond:F1} tokens/s, {result.OutputTokensPerSecond:F1} of them output"));
            if (path is not null)
            {
                ResultFile.WriteFields(path, Fields(result));
            }
        });
        return command;
    }

    /// <summary><c>vllm bench throughput --output-json</c>'s fields, and output and input apart.</summary>
    public static JsonObject Fields(ServeResult result) => new()
    {
        ["elapsed_time"] = result.Seconds,
        ["num_requests"] = result.Completed,
        ["total_num_tokens"] = result.InputTokens + result.OutputTokens,
        ["requests_per_second"] = result.RequestsPerSecond,
        ["tokens_per_second"] = result.TokensPerSecond,
        ["total_input_tokens"] = result.InputTokens,
        ["total_output_tokens"] = result.OutputTokens,
        ["output_tokens_per_second"] = result.OutputTokensPerSecond,
    };
}
