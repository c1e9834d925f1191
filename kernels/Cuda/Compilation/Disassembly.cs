using System.Text.RegularExpressions;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda.Compilation;

/// <summary>The machine instructions of one kernel, for tables and checks.</summary>
/// <param name="Opcodes">With modifiers, in order: "LDG.E.128.CONSTANT".</param>
internal sealed record KernelCode(string Kernel, IReadOnlyList<string> Opcodes)
{
    private static readonly string[] TensorPrefixes = ["HMMA", "IMMA", "QMMA", "HGMMA", "IGMMA", "QGMMA"];

    /// <summary>Loads and stores of local memory: spills, and arrays with computed indices.</summary>
    public int LocalAccesses => Count("LDL", "STL");

    /// <summary>Loads from global memory by a thread, into registers or shared memory.</summary>
    public int GlobalLoads => Count("LDG", "LDGSTS");

    /// <summary>Those of 16 bytes.</summary>
    public int WideGlobalLoads => Opcodes.Count(opcode => Family(opcode) is "LDG" or "LDGSTS" && opcode.Contains(".128", StringComparison.Ordinal));

    /// <summary>Copies of whole pieces by the copy engine.</summary>
    public int BulkLoads => Count("UBLKCP", "UTMALDG");

    /// <summary>Tensor-core instructions by family: "HMMA", 96.</summary>
    public IReadOnlyDictionary<string, int> Tensor => Opcodes.Select(Family).Where(TensorPrefixes.Contains)
        .GroupBy(family => family).ToDictionary(group => group.Key, group => group.Count());

    /// <summary>
    /// Whether it waits for the kernels ahead of it (griddepcontrol.wait) before anything it writes to global memory, as launches
    /// that may overlap need.
    /// </summary>
    public bool WaitsBeforeItWrites
    {
        get
        {
            string? first = Opcodes.Select(Family).FirstOrDefault(family => family is "ACQBULK" or "STG" or "RED" or "REDG" or "ATOM" or "ATOMG");
            return first == "ACQBULK";
        }
    }

    private static string Family(string opcode) => opcode.Split('.', 2)[0];

    private int Count(params IEnumerable<string> families) => Opcodes.Count(opcode => families.Contains(Family(opcode)));
}

/// <summary>Reads cubins with nvdisasm.</summary>
internal static partial class Disassembly
{
    /// <summary>The kernels of a cubin.</summary>
    /// <exception cref="CudaUnavailableException">nvdisasm is neither beside an unpacked NVRTC nor in PATH.</exception>
    public static IReadOnlyList<KernelCode> Of(byte[] cubin)
    {
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(file, cubin);
            return Candidates().Select(command => HostProcess.TryRun(command, ["-c", file])).FirstOrDefault(process => process is not null) switch
            {
                { ExitCode: 0, Output: var text } => Parse(text),
                { Output: var text } => throw new InvalidOperationException($"nvdisasm failed: {text}"),
                null => throw new CudaUnavailableException("There is no nvdisasm to read compiled kernels with."),
            };
        }
        finally
        {
            File.Delete(file);
        }
    }

    /// <summary>Splits nvdisasm's text into kernels and their instructions.</summary>
    public static IReadOnlyList<KernelCode> Parse(string text)
    {
        List<KernelCode> kernels = [];
        List<string> opcodes = [];
        foreach (string line in text.Split('\n'))
        {
            if (Section().Match(line) is { Success: true } section)
            {
                opcodes = [];
                kernels.Add(new KernelCode(section.Groups[1].Value, opcodes));
            }
            else if (Instruction().Match(line) is { Success: true } instruction)
            {
                opcodes.Add(instruction.Groups[1].Value);
            }
        }
        return kernels;
    }

    private static IEnumerable<string> Candidates()
    {
        string nvrtc = Environment.GetEnvironmentVariable(NvrtcApi.EnvironmentVariable) ?? CacheFolder.Of(NvrtcApi.UnpackedFolder);
        return [Path.GetFullPath(Path.Combine(nvrtc, "../../bin/nvdisasm")), "nvdisasm"];
    }

    [GeneratedRegex(@"^\s*\.section\s+\.text\.([^,\s]+),")]
    private static partial Regex Section();

    // "/*0040*/  @!P0 LDG.E.128 R4, ...": address, predicate, opcode.
    [GeneratedRegex(@"^\s*/\*[0-9a-f]{4,}\*/\s+\{?\s*(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)")]
    private static partial Regex Instruction();
}
