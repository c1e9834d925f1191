using System.Text.Json.Nodes;

namespace LlamaServe.Bench.Load;

/// <summary>What a run of requests came to.</summary>
/// <param name="records">All that were sent.</param>
/// <param name="seconds">From the first arrival to the last end.</param>
/// <param name="goal">What counts as good; null: nothing was asked.</param>
internal sealed class ServeResult(IReadOnlyCollection<RequestRecord> records, double seconds, ServiceLevel? goal)
{
    private static readonly double[] Percents = [50, 90, 95, 99];

    private readonly RequestRecord[] _complete = [.. records.Where(record => record.IsComplete)];

    public double Seconds => seconds;

    /// <summary>Name of what answered.</summary>
    public string Model { get; init; } = "";

    /// <summary>Processor time of this process, which sent and read.</summary>
    public double ClientProcessorSeconds { get; init; }

    /// <summary>The part of this machine that other processes had meanwhile; null where unknown.</summary>
    public double? OthersShare { get; init; }

    /// <summary>Requests of the warm-up that failed.</summary>
    public int FailedWarmUps { get; init; }

    public int Completed => _complete.Length;

    public int Failed => records.Count - _complete.Length;

    public long InputTokens => _complete.Sum(record => (long)record.PromptTokens);

    public long OutputTokens => _complete.Sum(record => (long)record.OutputTokens);

    /// <summary>Answers that have another length than was asked for: rates of these are not those of the workload.</summary>
    public int WrongLengths => records.Count(record => record.HasWrongLength);

    /// <summary>Answers whose server told no number of tokens, so that they were counted here.</summary>
    public int EstimatedLengths => _complete.Count(record => record.IsEstimated);

    /// <summary>Pieces without text, which count as pieces nevertheless.</summary>
    public int EmptyPieces => _complete.Sum(record => record.EmptyPieces);

    /// <summary>The part of the prompts' tokens that the server found computed, of requests where it says so; null where it never does.</summary>
    public double? CachedShare
    {
        get
        {
            RequestRecord[] told = [.. _complete.Where(record => record.CachedTokens is not null)];
            return told.Length == 0 ? null : told.Sum(record => (double)record.CachedTokens!.Value) / told.Sum(record => (double)record.PromptTokens);
        }
    }

    public double RequestsPerSecond => Completed / seconds;

    public double OutputTokensPerSecond => OutputTokens / seconds;

    public double TokensPerSecond => (InputTokens + OutputTokens) / seconds;

    /// <summary>Requests a second that kept every goal; null where none was asked.</summary>
    public double? Goodput => goal is null ? null : _complete.Count(goal.Holds) / seconds;

    /// <summary>Seconds to the first piece.</summary>
    public Distribution TimeToFirstToken { get; } = new(records.Where(record => record.IsComplete).Select(record => record.TimeToFirstToken));

    /// <summary>Seconds to the first piece with text: later than the one above where a server begins with an empty piece.</summary>
    public Distribution TimeToFirstText { get; } = new(records.Where(record => record.IsComplete).Select(record => record.TimeToFirstText));

    /// <summary>Mean seconds of a token after the first, of answers with more than one.</summary>
    public Distribution TimePerToken { get; } =
        new(records.Where(record => record.IsComplete && record.OutputTokens > 1).Select(record => record.TimePerToken));

    /// <summary>Seconds between pieces, of all answers together.</summary>
    public Distribution InterTokenLatency { get; } = new(records.Where(record => record.IsComplete).SelectMany(record => record.Gaps));

    /// <summary>Seconds by which requests were sent too late.</summary>
    public Distribution SendLag { get; } = new(records.Where(record => record.IsComplete).Select(record => record.SendLag));

    /// <summary>Seconds to the last piece.</summary>
    public Distribution Latency { get; } = new(records.Where(record => record.IsComplete).Select(record => record.Latency));

    /// <summary>What failed requests said, with how many said it, most frequent first.</summary>
    public IEnumerable<(string Error, int Count)> Errors => records
        .Where(record => !record.IsComplete)
        .GroupBy(record => record.Error ?? "the answer was empty")
        .Select(group => (group.Key, group.Count()))
        .OrderByDescending(group => group.Item2);

    /// <summary>The fields of <c>vllm bench serve --save-result</c>, by their names; times in milliseconds.</summary>
    public JsonObject ToJson(bool detailed)
    {
        JsonObject json = new()
        {
            ["duration"] = seconds,
            ["completed"] = Completed,
            ["failed"] = Failed,
            ["total_input_tokens"] = InputTokens,
            ["total_output_tokens"] = OutputTokens,
            ["request_throughput"] = RequestsPerSecond,
            ["request_goodput"] = Goodput,
            ["output_throughput"] = OutputTokensPerSecond,
            ["total_token_throughput"] = TokensPerSecond,
            ["cached_input_share"] = CachedShare,
            ["wrong_output_lens"] = WrongLengths,
            ["estimated_output_lens"] = EstimatedLengths,
            ["empty_pieces"] = EmptyPieces,
            ["failed_warm_ups"] = FailedWarmUps,
            ["client_processors"] = ClientProcessorSeconds / seconds,
        };
        AddTimes(json, "ttft", TimeToFirstToken);
        AddTimes(json, "first_text", TimeToFirstText);
        AddTimes(json, "tpot", TimePerToken);
        AddTimes(json, "itl", InterTokenLatency);
        AddTimes(json, "e2el", Latency);
        AddTimes(json, "send_lag", SendLag);
        if (detailed)
        {
            AddRequests(json);
        }

        return json;
    }

    private static void AddTimes(JsonObject json, string name, Distribution times)
    {
        json[$"mean_{name}_ms"] = 1000 * times.Mean;
        json[$"median_{name}_ms"] = 1000 * times.Median;
        json[$"std_{name}_ms"] = 1000 * times.Deviation;
        foreach (double percent in Percents)
        {
            json[$"p{percent}_{name}_ms"] = 1000 * times.Percentile(percent);
        }
    }

    // Seconds, as there; start_times beside them, from the first request on.
    private void AddRequests(JsonObject json)
    {
        RequestRecord[] ordered = [.. records.OrderBy(record => record.Sent)];
        json["input_lens"] = Array(record => record.PromptTokens);
        json["output_lens"] = Array(record => record.OutputTokens);
        json["start_times"] = Array(record => System.Diagnostics.Stopwatch.GetElapsedTime(ordered[0].Sent, record.Sent).TotalSeconds);
        json["ttfts"] = Array(record => record.IsComplete ? record.TimeToFirstToken : 0);
        json["itls"] = Array(record => new JsonArray([.. record.Gaps.Select(gap => JsonValue.Create(gap))]));
        json["generated_texts"] = Array(record => record.Text);
        json["errors"] = Array(record => record.Error ?? "");

        JsonArray Array(Func<RequestRecord, JsonNode?> value) => new([.. ordered.Select(value)]);
    }
}
