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
        if (result.CachedShare is { } cached)
        {
            Line("input found in a cache", $"{100 * cached:F1} %");
        }

        Line("processors of this client", $"{result.ClientProcessorSeconds / result.Seconds:F2}");
        output.WriteLine($"{"milliseconds",-28}{"mean",10}{"p50",10}{"p90",10}{"p99",10}");
        Times("time to first token", result.TimeToFirstToken);
        if (result.EmptyPieces > 0)
        {
            Times("time to first text", result.TimeToFirstText);
        }

        Times("time per token after it", result.TimePerToken);
        Times("between pieces", result.InterTokenLatency);
        Times("whole answer", result.Latency);
        Times("sent too late", result.SendLag);
        WriteDoubts(result, output);
        foreach ((string error, int count) in result.Errors)
        {
            output.WriteLine($"{count} × {error}");
        }

        void Line(string name, FormattableString value) => output.WriteLine($"{name,-28}{value.ToString(CultureInfo.InvariantCulture)}");

        void Times(string name, Distribution seconds) => output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name,-28}{1000 * seconds.Mean,10:F2}{1000 * seconds.Median,10:F2}{1000 * seconds.Percentile(90),10:F2}{1000 * seconds.Percentile(99),10:F2}"));
    }

    /// <summary>What makes the numbers above mean something else.</summary>
    private static void WriteDoubts(ServeResult result, TextWriter output)
    {
        Doubt(result.WrongLengths, "answers have another length than was asked for: the server ended them early, or knows no ignore_eos");
        Doubt(result.EstimatedLengths, "answers came without usage: their tokens are counted here, from the text or its pieces");
        Doubt(result.EmptyPieces, "pieces had no text; the first piece and the gaps count them, as vllm bench serve does");
        Doubt(result.FailedWarmUps, "requests of the warm-up failed");

        void Doubt(int count, string text)
        {
            if (count > 0)
            {
                output.WriteLine($"{count} {text}");
            }
        }
    }
}
