using System.Globalization;
using LlamaServe.Bench.Gpu;

namespace LlamaServe.Bench.Operations;

/// <summary>Prints rows as a Markdown table.</summary>
internal static class OperationTable
{
    public const string Header =
        "| operation | floor | measured | of floor | GB/s | G multiply-adds/s | peer | peer's | ours / peer |\n"
        + "|---|--:|--:|--:|--:|--:|---|--:|--:|";

    public static string Line(OperationRow row) => string.Create(
        CultureInfo.InvariantCulture,
        $"| {row.Name} | {GpuTable.Quantity(row.FloorSeconds, isRate: false)} | {GpuTable.Quantity(row.Seconds, isRate: false)} | {row.OfFloor:P0} "
        + $"| {row.BytesPerSecond / 1e9:F1} | {(row.Arithmetic is null ? "" : $"{row.MultiplyAddsPerSecond / 1e9:F1}")} "
        + $"| {row.Peer} | {GpuTable.Quantity(row.PeerSeconds, isRate: false)} | {row.Ratio:F2} |");
}
