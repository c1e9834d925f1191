using System.Globalization;
using System.Text.RegularExpressions;

namespace LlamaServe.Kernels.Cuda.Compilation;

/// <summary>What the assembler allotted to one kernel.</summary>
/// <param name="Registers">Of a thread.</param>
/// <param name="StackBytes">Of a thread: arrays with computed indices, and spills.</param>
/// <param name="SpillStoreBytes">Registers that did not fit, written to local memory.</param>
/// <param name="SpillLoadBytes">The same, read back.</param>
/// <param name="SharedBytes">Shared memory that is declared in the source.</param>
internal sealed record KernelResources(string Kernel, int Registers, int StackBytes, int SpillStoreBytes, int SpillLoadBytes, int SharedBytes);

/// <summary>Reads what <c>ptxas -v</c> writes to a compiler's log.</summary>
internal static partial class PtxasReport
{
    /// <summary>One entry a kernel, in the order of the log.</summary>
    public static IReadOnlyList<KernelResources> Read(string log)
    {
        List<KernelResources> kernels = [];
        foreach (string line in log.Split('\n'))
        {
            if (Entry().Match(line) is { Success: true } entry)
            {
                kernels.Add(new KernelResources(entry.Groups[1].Value, 0, 0, 0, 0, 0));
            }
            else if (kernels.Count > 0 && Frame().Match(line) is { Success: true } frame)
            {
                kernels[^1] = kernels[^1] with { StackBytes = Number(frame, 1), SpillStoreBytes = Number(frame, 2), SpillLoadBytes = Number(frame, 3) };
            }
            else if (kernels.Count > 0 && Used().Match(line) is { Success: true } used)
            {
                Match shared = Shared().Match(line);
                kernels[^1] = kernels[^1] with { Registers = Number(used, 1), SharedBytes = shared.Success ? Number(shared, 1) : 0 };
            }
        }
        return kernels;
    }

    /// <summary>
    /// Lines that a build must not have: warnings, and the notes C7508, C7514 and C7515, by which ptxas tells that it serialized wgmma
    /// or added waits around it.
    /// </summary>
    public static IEnumerable<string> Complaints(string log) => log.Split('\n').Where(line =>
        line.Contains("warning", StringComparison.OrdinalIgnoreCase) || line.Contains("Potential Performance Loss", StringComparison.Ordinal));

    private static int Number(Match match, int group) => int.Parse(match.Groups[group].ValueSpan, CultureInfo.InvariantCulture);

    [GeneratedRegex("Compiling entry function '([^']+)'")]
    private static partial Regex Entry();

    [GeneratedRegex("([0-9]+) bytes stack frame, ([0-9]+) bytes spill stores, ([0-9]+) bytes spill loads")]
    private static partial Regex Frame();

    [GeneratedRegex("Used ([0-9]+) registers")]
    private static partial Regex Used();

    [GeneratedRegex("([0-9]+) bytes smem")]
    private static partial Regex Shared();
}
