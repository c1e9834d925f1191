using System.Globalization;

namespace LlamaServe.Kernels.Cpu;

/// <summary>Memory that this process can still take without swapping.</summary>
internal static class SystemMemory
{
    /// <summary>The smaller of what the machine has free and what the process's own limit (container) leaves.</summary>
    public static long AvailableBytes()
    {
        // Honours control groups and job objects.
        long limit = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        long withinLimit = limit - (ReadKibibytes("/proc/self/status", "RssAnon:") ?? Environment.WorkingSet);
        long machine = ReadKibibytes("/proc/meminfo", "MemAvailable:") ?? withinLimit;
        return Math.Max(0, Math.Min(withinLimit, machine));
    }

    private static long? ReadKibibytes(string file, string key)
    {
        if (!File.Exists(file))
        {
            return null;
        }
        foreach (string line in File.ReadLines(file))
        {
            if (line.StartsWith(key, StringComparison.Ordinal))
            {
                ReadOnlySpan<char> number = line.AsSpan(key.Length).Trim().TrimEnd(" kB");
                return long.TryParse(number, CultureInfo.InvariantCulture, out long kibibytes) ? kibibytes * 1024 : null;
            }
        }
        return null;
    }
}
