using System.Runtime.InteropServices;

namespace LlamaServe.Bench.Machine;

/// <summary>What a number was measured on.</summary>
internal sealed record MachineDescription(
    string Processor, int LogicalProcessors, long MemoryBytes, string OperatingSystem, string Runtime)
{
    public static MachineDescription Current { get; } = new(
        ProcessorName(),
        Environment.ProcessorCount,
        GC.GetGCMemoryInfo().TotalAvailableMemoryBytes,
        RuntimeInformation.OSDescription,
        RuntimeInformation.FrameworkDescription);

    public override string ToString() =>
        $"{Processor}, {LogicalProcessors} cores, {MemoryBytes / (double)(1 << 30):F0} GiB, {OperatingSystem}, {Runtime}";

    private static string ProcessorName()
    {
        const string LinuxFile = "/proc/cpuinfo";
        if (File.Exists(LinuxFile)
            && File.ReadLines(LinuxFile).FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal)) is string line)
        {
            return line[(line.IndexOf(':') + 1)..].Trim();
        }

        return Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? RuntimeInformation.ProcessArchitecture.ToString();
    }
}
