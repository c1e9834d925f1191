using System.Runtime.InteropServices;

namespace LlamaServe.Models.Weights;

/// <summary>Pages of mapped files that have been read and are not needed again.</summary>
internal static partial class MappedPages
{
    // MADV_DONTNEED of Linux.
    private const int DontNeed = 4;

    /// <summary>
    /// Takes the bytes' pages out of the process, so that loading a model does not take its size twice. They can still be
    /// read: they come back from the file. Does nothing except on Linux, where the peak counts against container limits.
    /// </summary>
    public static void Release(nint address, long length)
    {
        if (OperatingSystem.IsLinux())
        {
            nint begin = address / Environment.SystemPageSize * Environment.SystemPageSize;
            _ = Advise(begin, (nuint)(address - begin + length), DontNeed);
        }
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint address, nuint length, int advice);
}
