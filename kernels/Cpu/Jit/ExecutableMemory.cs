using System.ComponentModel;
using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>Machine code in pages that are writable while it is copied in and executable afterwards, never both.</summary>
internal sealed unsafe partial class ExecutableMemory : SafeHandle
{
    private readonly nuint _byteCount;

    private ExecutableMemory(nint address, nuint byteCount)
        : base(0, ownsHandle: true)
    {
        SetHandle(address);
        _byteCount = byteCount;
    }

    public override bool IsInvalid => handle == 0;

    /// <summary>Address of the first instruction.</summary>
    public nint Address => handle;

    /// <summary>Copies position-independent <paramref name="code"/> to fresh executable pages.</summary>
    /// <exception cref="Win32Exception">The system refuses the memory or the change of protection.</exception>
    public static ExecutableMemory Load(ReadOnlySpan<byte> code)
    {
        nuint byteCount = (nuint)code.Length;
        return OperatingSystem.IsWindows() ? LoadOnWindows(code, byteCount) : LoadOnUnix(code, byteCount);
    }

    protected override bool ReleaseHandle() => OperatingSystem.IsWindows()
        ? Windows.VirtualFree(handle, 0, Windows.Release)
        : Unix.Unmap(handle, _byteCount) == 0;

    private static ExecutableMemory LoadOnUnix(ReadOnlySpan<byte> code, nuint byteCount)
    {
        int anonymous = OperatingSystem.IsMacOS() ? Unix.AnonymousOnMac : Unix.Anonymous;
        nint address = Unix.Map(0, byteCount, Unix.ReadWrite, Unix.Private | anonymous, -1, 0);
        if (address == -1)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError());
        }

        var memory = new ExecutableMemory(address, byteCount);
        code.CopyTo(new Span<byte>((void*)address, code.Length));
        return Unix.Protect(address, byteCount, Unix.ReadExecute) == 0 ? memory : throw Refused(memory);
    }

    private static ExecutableMemory LoadOnWindows(ReadOnlySpan<byte> code, nuint byteCount)
    {
        nint address = Windows.VirtualAlloc(0, byteCount, Windows.CommitAndReserve, Windows.ReadWrite);
        if (address == 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError());
        }

        var memory = new ExecutableMemory(address, byteCount);
        code.CopyTo(new Span<byte>((void*)address, code.Length));
        return Windows.VirtualProtect(address, byteCount, Windows.ExecuteRead, out _) ? memory : throw Refused(memory);
    }

    private static Win32Exception Refused(ExecutableMemory memory)
    {
        var error = new Win32Exception(Marshal.GetLastPInvokeError());
        memory.Dispose();
        return error;
    }

    private static partial class Unix
    {
        public const int ReadWrite = 3;
        public const int ReadExecute = 5;
        public const int Private = 2;
        public const int Anonymous = 0x20;
        public const int AnonymousOnMac = 0x1000;

        [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
        public static partial nint Map(nint address, nuint length, int protection, int flags, int file, nint offset);

        [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
        public static partial int Protect(nint address, nuint length, int protection);

        [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
        public static partial int Unmap(nint address, nuint length);
    }

    private static partial class Windows
    {
        public const uint CommitAndReserve = 0x3000;
        public const uint Release = 0x8000;
        public const uint ReadWrite = 0x04;
        public const uint ExecuteRead = 0x20;

        [LibraryImport("kernel32", SetLastError = true)]
        public static partial nint VirtualAlloc(nint address, nuint size, uint type, uint protection);

        [LibraryImport("kernel32", SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        public static partial bool VirtualProtect(nint address, nuint size, uint protection, out uint previous);

        [LibraryImport("kernel32", SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        public static partial bool VirtualFree(nint address, nuint size, uint type);
    }
}
