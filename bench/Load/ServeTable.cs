using System.Globalization;

namespace LlamaServe.Bench.Load;

/// <summary>A run's outcome for people.</summary>
internal static class ServeTable
{
    public static void Write(ServeResult result, TextWriter output)
    {
        Line("completed / failed", $"{result.Completed} / {result.Failed}");
        Line("duration", $"{result.Seconds:F2} s");
        Line("requests", $"{result.RequestsPerSecond:F2} /s");
        if (result.Goodput is { } goodput)
        {
            Line("of them within the goals", $"{goodput:F2} /s");
        }

        Line("output tokens", $"{result.OutputTokensPerSecond:F1} /s");
        Line("all tokens", $"{result.TokensPerSecond:F1} /s");
        Line("processors of this client", $"{result.ClientProcessorSeconds / result.Seconds:F2}");
        output.WriteLine($"{"milliseconds",-28}{"mean",10}{"p50",10}{"p90",10}{"p99",10}");
        Times("time to first token", result.TimeToFirstToken);
        Times("time per token after it", result.TimePerToken);
        Times("between pieces", result.InterTokenLatency);
        Times("whole answer", result.Latency);
        Times("sent too late", result.SendLag);
        foreach ((string error, int count) in result.Errors)
        {
            output.WriteLine($"{count} × {error}");
        }

        void Line(string name, FormattableString value) => output.WriteLine($"{name,-28}{value.ToString(CultureInfo.InvariantCulture)}");

        void Times(string name, Distribution seconds) => output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name,-28}{1000 * seconds.Mean,10:F2}{1000 * seconds.Median,10:F2}{1000 * seconds.Percentile(90),10:F2}{1000 * seconds.Percentile(99),10:F2}"));
    }
}
