using System.Globalization;

namespace LlamaServe.Bench.Gpu;

/// <summary>Prints rows as a Markdown table.</summary>
internal static class GpuTable
{
    public static void Print(TextWriter output, IEnumerable<GpuRow> rows)
    {
        output.WriteLine("| kernel | shape | floor | measured | of floor | peer | peer's | ours / peer | goal | met |");
        output.WriteLine("|---|---|--:|--:|--:|---|--:|--:|---|---|");
        foreach (GpuRow row in rows)
        {
            output.WriteLine(string.Join(' ', "|", row.Kernel, "|", row.Shape, "|", Quantity(row.Floor, row.IsRate), "|", Measured(row), "|",
                Number(row.OfFloor, "P0"), "|", row.Peer, "|", Quantity(row.PeerValue, row.IsRate), "|", Number(row.OursOverPeer, "F2"), "|",
                string.Join(", ", row.Goals.Select(goal => goal.Text(row))), "|", Met(row), "|"));
        }
    }

    /// <summary>"12.3 µs" or "4,336 tokens/s".</summary>
    public static string Quantity(double? value, bool isRate) => value switch
    {
        null => "",
        _ when isRate => string.Create(CultureInfo.InvariantCulture, $"{value:N0} tokens/s"),
        < 1e-3 => string.Create(CultureInfo.InvariantCulture, $"{value * 1e6:F1} µs"),
        < 1 => string.Create(CultureInfo.InvariantCulture, $"{value * 1e3:F2} ms"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{value:F2} s"),
    };

    private static string Measured(GpuRow row) => row switch
    {
        { Value: null } => row.Note ?? "not measured",
        { Note: { } note } => $"{Quantity(row.Value, row.IsRate)} ({note})",
        _ => Quantity(row.Value, row.IsRate),
    };

    private static string Number(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? "";

    private static string Met(GpuRow row) => row.Goals.Count == 0 ? "" : row.IsMet switch { true => "yes", false => "NO", null => "?" };
}
