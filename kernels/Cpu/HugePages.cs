using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>Native memory that asks for huge pages: fewer page walks where much of it is streamed.</summary>
internal static unsafe partial class HugePages
{
    /// <summary>Bytes of a huge page, and the alignment that lets one be used.</summary>
    public const int Bytes = 2 << 20;

    private const int AdviseHugePages = 14;

    /// <summary>Memory that starts on a huge page; free it with <see cref="NativeMemory.AlignedFree"/>.</summary>
    public static byte* Allocate(nuint byteLength)
    {
        byte* memory = (byte*)NativeMemory.AlignedAlloc(byteLength, Bytes);
        if (OperatingSystem.IsLinux())
        {
            // Advice only, so a refusal changes nothing.
            _ = AdviseMemory(memory, byteLength, AdviseHugePages);
        }
        return memory;
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int AdviseMemory(void* address, nuint length, int advice);
}
