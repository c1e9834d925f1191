using System.Globalization;

namespace LlamaServe.Bench.Micro;

/// <summary>Prints rows as a Markdown table.</summary>
internal static class MicroTable
{
    public static void Write(IEnumerable<MicroRow> rows, TextWriter output)
    {
        output.WriteLine("| part | time | calibration / time | allocated | tokens/s |");
        output.WriteLine("|---|--:|--:|--:|--:|");
        foreach (MicroRow row in rows)
        {
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {row.Name} | {row.Nanoseconds / 1e3:F2} µs | {row.Ratio:G3} | {row.AllocatedBytes} B | {row.TokensPerSecond:N0} |"));
        }
    }
}
