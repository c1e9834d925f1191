using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cuda.Compilation;

/// <summary>Strings as C wants them: an array of pointers to zero-terminated UTF-8.</summary>
internal sealed unsafe class NativeStrings : IDisposable
{
    public NativeStrings(IReadOnlyList<string> strings)
    {
        Count = strings.Count;
        Pointers = (byte**)NativeMemory.Alloc((nuint)Math.Max(1, Count), (nuint)sizeof(byte*));
        for (int i = 0; i < Count; i++)
        {
            Pointers[i] = (byte*)Marshal.StringToCoTaskMemUTF8(strings[i]);
        }
    }

    public int Count { get; }

    public byte** Pointers { get; private set; }

    public void Dispose()
    {
        for (int i = 0; i < Count; i++)
        {
            Marshal.FreeCoTaskMem((nint)Pointers[i]);
        }
        NativeMemory.Free(Pointers);
        Pointers = null;
    }
}
