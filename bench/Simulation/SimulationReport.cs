using System.Globalization;
using System.Text.Json.Nodes;
using LlamaServe.Bench.Cost;
using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Simulation;

/// <summary>A prediction for people and for scripts.</summary>
/// <param name="devices">Of all replicas together.</param>
/// <param name="kvTokens">Tokens that a replica's KV cache holds.</param>
/// <param name="price">Of one device; null where it is unknown.</param>
internal sealed class SimulationReport(SimulationResult result, int devices, int kvTokens, HardwarePrice? price)
{
    /// <summary>In a file's field <c>backend</c>: what is in it is a prediction.</summary>
    public const string Backend = "simulation";

    private readonly Distribution _firstToken = result.TimeToFirstToken;
    private readonly Distribution _perToken = result.TimePerToken;
    private readonly Distribution _latency = result.Latency;

    private TokenCost? Cost => price is null ? null : new TokenCost(result.OutputTokensPerSecond, price.DollarsPerHour * devices);

    private double CachedShare => (double)result.CachedTokens / result.InputTokens;

    public void WriteTable(TextWriter output)
    {
        Line("requests", $"{result.Requests} in {result.Seconds:F1} s, {result.Steps} steps");
        Line("output tokens", $"{result.OutputTokensPerSecond:F0} /s, {result.OutputTokensPerSecond / devices:F0} a device");
        Line("input tokens", $"{result.InputTokens / result.Seconds:F0} /s, {CachedShare:P0} of them cached");
        Line("devices busy", $"{result.BusyShare:P0} of the time");
        Line("KV cache of a replica", $"{kvTokens} tokens, {result.MeanKvUse:P0} in use, at most {result.PeakKvUse:P0}; {result.Preemptions} preemptions");
        output.WriteLine($"{"milliseconds",-28}{"mean",10}{"p50",10}{"p90",10}{"p99",10}");
        Times("time to first token", _firstToken.Mean, _firstToken.Percentile);
        Times("time per token after it", _perToken.Mean, _perToken.Percentile);
        Times("between tokens", result.InterTokenLatency.Mean, result.InterTokenLatency.Percentile);
        Times("whole answer", _latency.Mean, _latency.Percentile);
        if (Cost is { } cost)
        {
            Line("a million output tokens", $"{cost.DollarsPerMillion:F3} $, with all that was read for them; {devices} × {price!.Hardware}, {price.Tier}, {price.DollarsPerHour} $/h");
        }

        void Line(string name, FormattableString value) => output.WriteLine($"{name,-28}{value.ToString(CultureInfo.InvariantCulture)}");

        void Times(string name, double mean, Func<double, double> percentile) => output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name,-28}{1000 * mean,10:F2}{1000 * percentile(50),10:F2}{1000 * percentile(90),10:F2}{1000 * percentile(99),10:F2}"));
    }

    /// <summary>With <c>vllm bench serve</c>'s names where it has one; times in milliseconds, shares from 0 to 1.</summary>
    public JsonObject ToJson()
    {
        JsonObject json = new()
        {
            ["backend"] = Backend,
            ["duration"] = result.Seconds,
            ["completed"] = result.Requests,
            ["total_input_tokens"] = result.InputTokens,
            ["total_output_tokens"] = result.OutputTokens,
            ["request_throughput"] = result.Requests / result.Seconds,
            ["output_throughput"] = result.OutputTokensPerSecond,
            ["total_token_throughput"] = (result.InputTokens + result.OutputTokens) / result.Seconds,
            ["devices"] = devices,
            ["steps"] = result.Steps,
            ["busy_share"] = result.BusyShare,
            ["cached_share"] = CachedShare,
            ["kv_tokens"] = kvTokens,
            ["mean_kv_use"] = result.MeanKvUse,
            ["peak_kv_use"] = result.PeakKvUse,
            ["preemptions"] = result.Preemptions,
            ["dollars_per_million_output_tokens"] = Cost?.DollarsPerMillion,
            ["price_source"] = price?.Source,
        };
        AddTimes("ttft", _firstToken.Mean, _firstToken.Percentile);
        AddTimes("tpot", _perToken.Mean, _perToken.Percentile);
        AddTimes("itl", result.InterTokenLatency.Mean, result.InterTokenLatency.Percentile);
        AddTimes("e2el", _latency.Mean, _latency.Percentile);
        return json;

        void AddTimes(string name, double mean, Func<double, double> percentile)
        {
            json[$"mean_{name}_ms"] = 1000 * mean;
            json[$"median_{name}_ms"] = 1000 * percentile(50);
            foreach (int percent in (int[])[50, 90, 95, 99])
            {
                json[$"p{percent}_{name}_ms"] = 1000 * percentile(percent);
            }
        }
    }
}
